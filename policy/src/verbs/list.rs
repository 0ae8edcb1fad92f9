//! Makes of the list of verbs: [`Verb`](super::Verb) and its table, [`Grant`](super::Grant),
//! [`Request`](super::Request), [`Rules`](super::Rules), and the choice of the verb that decides.

macro_rules! verbs {
    ($($word:literal => $file:ident: $Verb:ident($pattern:ty, $request:ty),)*) => {
        /// What a rule allows or denies to do: see [`Verb::TABLE`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Verb {
            $(#[doc = concat!("`", $word, "`.")] $Verb,)*
        }

        /// A row of [`Verb::TABLE`].
        #[derive(Clone, Copy, Debug)]
        pub struct VerbInfo {
            /// The verb.
            pub verb: Verb,
            /// Its word.
            pub name: &'static str,
            /// Targets, for help and errors. None if the verb stands alone.
            pub examples: &'static [&'static str],
            /// What it grants, as the end of a sentence, for help.
            pub about: &'static str,
        }

        impl Verb {
            /// Every verb, in the order of the enum.
            pub const TABLE: &[VerbInfo] = &[$(VerbInfo {
                verb: Self::$Verb,
                name: $word,
                examples: <verb::$Verb as Capability>::EXAMPLES,
                about: <verb::$Verb as Capability>::ABOUT,
            },)*];
        }

        /// The verbs as types. [`Capability`] is implemented for them.
        pub(crate) mod verb {
            $(#[derive(Debug)] pub(crate) struct $Verb;)*
        }

        impl Verb {
            /// Returns an act of this verb that the left policy allows and the right one does not.
            pub(crate) fn excess(self, compared: &Compared<'_>) -> Found<Excess> {
                match self {
                    $(Self::$Verb => <verb::$Verb as Capability>::excess(compared),)*
                }
            }
        }

        /// What a row of the list says about a verb.
        pub(crate) trait Row {
            /// The verb.
            const VERB: Verb;
            /// What a rule names.
            type Pattern;
            /// What a guest asks for.
            type Request<'a>: Copy;
        }

        $(impl Row for verb::$Verb {
            const VERB: Verb = Verb::$Verb;
            type Pattern = $pattern;
            type Request<'a> = $request;
        })*

        /// One rule: `VERB=TARGET`, or `VERB` if it stands alone. Parsed from text, and printed in
        /// the form in which denials name it.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Grant {
            $(#[doc = concat!("A rule of `", $word, "`.")] $Verb($pattern),)*
        }

        impl Grant {
            /// Returns the rule's verb.
            pub fn verb(&self) -> Verb {
                match self {
                    $(Self::$Verb(_) => Verb::$Verb,)*
                }
            }

            /// Parses a target of a verb.
            pub(crate) fn parse_target(verb: Verb, target: &str) -> Result<Self, ParseError> {
                match verb {
                    $(Verb::$Verb => <verb::$Verb as Capability>::parse(target).map(Self::$Verb),)*
                }
            }

            /// Makes the request that the target names, if it names one thing: see
            /// [`Capability::ask`].
            pub(crate) fn ask<'a>(
                &'a self,
                asking: &Asking<'a>,
            ) -> Result<Asked<'a, Request<'a>>, &'static str> {
                match self {
                    $(Self::$Verb(pattern) => {
                        let asked = <verb::$Verb as Capability>::ask(pattern, asking);
                        asked.map(|(request, name)| (Request::$Verb(request), name))
                    })*
                }
            }

            /// Returns the rule's target, to be printed.
            pub(crate) fn target(&self) -> &dyn fmt::Display {
                match self {
                    $(Self::$Verb(pattern) => pattern,)*
                }
            }
        }

        /// What a guest asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Request<'a> {
            $(#[doc = concat!("What `", $word, "` decides.")] $Verb($request),)*
        }

        impl Request<'_> {
            /// Returns the verb that decides.
            pub fn verb(&self) -> Verb {
                match self {
                    $(Self::$Verb(_) => Verb::$Verb,)*
                }
            }

            /// Returns the verb and the target, as the start of a sentence.
            pub(crate) fn what(&self) -> String {
                match *self {
                    $(Self::$Verb(asked) => <verb::$Verb as Capability>::what(asked),)*
                }
            }

            /// Decides on the request.
            pub(crate) fn decide<'p>(&self, query: &Query<'p, '_>) -> Answer<'p> {
                match *self {
                    $(Self::$Verb(asked) => decide::<verb::$Verb>(query, asked),)*
                }
            }

            /// Returns requests of every form, for the tests of all verbs.
            #[cfg(test)]
            pub(crate) fn samples() -> Vec<Request<'static>> {
                let mut samples = Vec::new();
                $(samples.extend(
                    <verb::$Verb as Capability>::samples().into_iter().map(Request::$Verb),
                );)*
                samples
            }
        }

        /// The target, as denials and the log show it. What a guest chose is escaped.
        impl fmt::Display for Request<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$Verb(asked) => <verb::$Verb as Capability>::show(asked, f),)*
                }
            }
        }

        /// One side of a policy, allow or deny: its rules, and the index of each verb's.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Rules {
            pub(crate) rules: Vec<Rule>,
            texts: Vec<Arc<str>>,
            /// The budget of each rule. Empty if no rule has one.
            budgets: Vec<Option<BudgetId>>,
            $(pub(crate) $file: <verb::$Verb as Capability>::Index,)*
        }

        impl Rules {
            /// Makes the indexes of a side's rules. `base` is the policy's base directory.
            pub(crate) fn build(
                rules: Vec<Rule>,
                base: Option<&[u8]>,
                real_path: RealPath<'_>,
                sets: &BuiltSets,
                deny: bool,
            ) -> Self {
                let texts: Vec<Arc<str>> =
                    rules.iter().map(|rule| rule.to_string().into()).collect();
                $(let $file = {
                    let of_verb = (0..).zip(&rules).filter_map(|(at, rule)| match &rule.grant {
                        Grant::$Verb(pattern) => Some((at, pattern)),
                        _ => None,
                    });
                    let rules = of_verb.collect();
                    let rules = VerbRules { rules, texts: &texts, sets, deny, base, real_path };
                    <verb::$Verb as Capability>::index(&rules)
                };)*
                let budgets = Self::number_budgets(&rules);
                Self { rules, texts, budgets, $($file,)* }
            }

            /// Returns the rules by which an address may be used, one verb after the other.
            pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoints> {
                [$(<verb::$Verb as Capability>::endpoints(&self.$file),)*].into_iter().flatten()
            }

            /// Returns the rules that imply `resolve` of the names in them, with their verbs.
            pub(crate) fn implying_resolve(&self) -> impl Iterator<Item = (Verb, &Endpoints)> {
                [$(
                    <verb::$Verb as Capability>::endpoints(&self.$file)
                        .filter(|_| <verb::$Verb as Capability>::IMPLIES_RESOLVE)
                        .map(|rules| (Verb::$Verb, rules)),
                )*].into_iter().flatten()
            }
        }
    };
}
