//! Words that patterns hold: paths, names and algorithms.
//!
//! A word is a list of symbols. Each pattern is an automaton of its steps, in a row. The search
//! follows all patterns of both policies at once, the shortest words first, and remembers where it
//! has been. So it ends, and finds a shortest word.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::covers::Undecided;

/// A part of a word: a character, or a byte, that patterns name.
pub(crate) type Symbol = u16;

/// Every part of a word that no pattern names.
pub(crate) const OTHER: Symbol = 0;
/// What separates the components of a path, or the parts of an algorithm.
pub(crate) const SEPARATOR: Symbol = 1;

/// One step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This symbol.
    One(Symbol),
    /// One symbol that is no separator.
    Any,
    /// Any number of symbols that are no separators.
    Many,
    /// Any number of symbols.
    Rest,
    /// Any number of components, each with the separator behind it.
    Components,
}

/// Whose rule a pattern is, and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It allows in the policy that is to be covered.
    LeftAllows,
    /// It denies there.
    LeftDenies,
    /// It allows in the policy that is to cover the other.
    RightAllows,
    /// It denies there.
    RightDenies,
}

/// The symbols of what the patterns name.
#[derive(Debug)]
pub(crate) struct Alphabet {
    symbols: HashMap<Box<[u8]>, Symbol>,
    parts: Vec<Box<[u8]>>,
}

impl Alphabet {
    /// An alphabet with this separator.
    pub(crate) fn new(separator: &[u8]) -> Self {
        // The first place is that of `OTHER`, whose text is chosen last.
        let mut alphabet = Self { symbols: HashMap::new(), parts: vec![Box::default()] };
        alphabet.symbol(separator);
        alphabet
    }

    /// Returns the symbol of a part.
    pub(crate) fn symbol(&mut self, part: &[u8]) -> Symbol {
        if let Some(symbol) = self.symbols.get(part) {
            return *symbol;
        }
        // There are more characters than numbers. A character without a number counts as one that
        // no pattern names, and the search then says that it can't decide.
        let symbol = Symbol::try_from(self.parts.len()).unwrap_or(Symbol::MAX);
        self.parts.push(part.into());
        self.symbols.insert(part.into(), symbol);
        symbol
    }

    /// Returns the word's text.
    pub(crate) fn text(&self, word: &[Symbol]) -> Vec<u8> {
        let mut letters = (b'a'..=b'z').rev().chain(b'0'..=b'9').chain(b'A'..=b'Z');
        let free = letters.find(|letter| !self.symbols.contains_key(&[*letter][..]));
        let other = free.map_or_else(
            || {
                // All letters are taken, so it is a character further on.
                let mut more =
                    ('\u{e0}'..).filter(|c| !self.symbols.contains_key(c.to_string().as_bytes()));
                more.next().unwrap_or('\u{e0}').to_string().into_bytes()
            },
            |letter| vec![letter],
        );
        word.iter()
            .flat_map(|symbol| match *symbol {
                OTHER => &other,
                symbol => &*self.parts[usize::from(symbol)],
            })
            .copied()
            .collect()
    }
}

/// The words that can be asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Universe {
    /// Every word without a separator.
    Names,
    /// Two words with a separator between them.
    Pairs,
    /// Absolute paths: no component is empty, `.` or `..`.
    Paths {
        /// The symbol of `.`.
        dot: Symbol,
    },
}

/// What is known of the part of a path that was read.
const COMPONENT_BEGINS: u8 = 1;
const COMPONENT_ENDS: u8 = 4;

impl Universe {
    /// Returns the state after one more symbol, 0 being the first. None if no word begins so.
    fn next(self, state: u8, symbol: Symbol) -> Option<u8> {
        let separates = symbol == SEPARATOR;
        match self {
            Self::Names => (!separates).then_some(state),
            Self::Pairs if separates => (state == 0).then_some(1),
            Self::Pairs => Some(state),
            Self::Paths { .. } if separates => {
                matches!(state, 0 | COMPONENT_ENDS).then_some(COMPONENT_BEGINS)
            }
            Self::Paths { .. } if state == 0 => None,
            // One dot, two dots, and all else.
            Self::Paths { dot } if symbol == dot => Some((state + 1).min(COMPONENT_ENDS)),
            Self::Paths { .. } => Some(COMPONENT_ENDS),
        }
    }

    /// Returns whether a word may end in this state.
    fn ends(self, state: u8) -> bool {
        match self {
            Self::Names => true,
            Self::Pairs => state == 1,
            Self::Paths { .. } => state == COMPONENT_ENDS,
        }
    }
}

/// The patterns of two policies about one kind of words.
#[derive(Debug)]
pub(crate) struct Patterns {
    universe: Universe,
    /// Each pattern's steps, with None behind the last one.
    steps: Vec<(Option<Step>, Role)>,
    /// The first step of each pattern.
    first: Vec<u32>,
    /// Whether the policies allow every word that no pattern denies.
    left_allows_all: bool,
    right_allows_all: bool,
}

/// A place in a pattern: the number of a step, and whether it is inside a component of
/// [`Step::Components`].
type Place = (u32, bool);

/// The places in all patterns where a word may have come to, sorted.
type Places = Vec<Place>;

impl Patterns {
    pub(crate) fn new(universe: Universe, left_allows_all: bool, right_allows_all: bool) -> Self {
        let (steps, first) = (Vec::new(), Vec::new());
        Self { universe, steps, first, left_allows_all, right_allows_all }
    }

    /// Adds a pattern.
    pub(crate) fn add(&mut self, role: Role, steps: &[Step]) {
        // Four thousand million steps don't fit in memory.
        self.first.push(u32::try_from(self.steps.len()).unwrap_or(u32::MAX));
        self.steps.extend(steps.iter().map(|step| (Some(*step), role)));
        self.steps.push((None, role));
    }

    fn at(&self, place: Place) -> (Option<Step>, Role) {
        self.steps[place.0 as usize]
    }

    /// Adds a place, and those that are reached from it without a symbol.
    fn reach(&self, places: &mut Places, mut place: Place) {
        loop {
            places.push(place);
            match self.at(place) {
                (Some(Step::Many | Step::Rest | Step::Components), _) if !place.1 => {
                    place = (place.0 + 1, false);
                }
                _ => return,
            }
        }
    }

    /// Returns where a symbol leads.
    fn after(&self, places: &Places, symbol: Symbol) -> Places {
        let mut next = Places::new();
        let separates = symbol == SEPARATOR;
        for &(step, inside) in places {
            let to = match self.at((step, inside)).0 {
                Some(Step::One(own)) if own == symbol => Some((step + 1, false)),
                Some(Step::Any) if !separates => Some((step + 1, false)),
                Some(Step::Many) if !separates => Some((step, false)),
                Some(Step::Rest) => Some((step, false)),
                Some(Step::Components) if separates => inside.then_some((step, false)),
                Some(Step::Components) => Some((step, true)),
                _ => None,
            };
            to.into_iter().for_each(|place| self.reach(&mut next, place));
        }
        next.sort_unstable();
        next.dedup();
        next
    }

    /// Returns whether a pattern of this role is at its end.
    fn held(&self, places: &Places, role: Role) -> bool {
        places.iter().any(|place| self.at(*place) == (None, role))
    }

    /// Returns whether the left policy allows the word and the right one does not.
    fn is_uncovered(&self, places: &Places) -> bool {
        (self.left_allows_all || self.held(places, Role::LeftAllows))
            && !self.held(places, Role::LeftDenies)
            && (self.held(places, Role::RightDenies)
                || !(self.right_allows_all || self.held(places, Role::RightAllows)))
    }

    /// Returns whether a longer word may be uncovered.
    fn may_go_on(&self, places: &Places) -> bool {
        let some = |role| places.iter().any(|place| self.at(*place).1 == role);
        (self.left_allows_all || some(Role::LeftAllows))
            && (!self.right_allows_all || some(Role::RightDenies))
    }

    /// Returns a shortest word that the left policy allows and the right one does not. None if
    /// there is no such word of at most `longest` symbols.
    ///
    /// # Errors
    ///
    /// The search takes too long.
    pub(crate) fn uncovered(&self, longest: usize) -> Result<Option<Vec<Symbol>>, Undecided> {
        let mut found = None;
        self.search(
            longest,
            |places| self.may_go_on(places),
            |places, word| {
                if self.is_uncovered(places) {
                    found = Some(word());
                }
                found.is_some()
            },
        )?;
        Ok(found)
    }

    /// Returns a word for each set of patterns that hold the same words, where the left policy
    /// allows one. Each word has at most `longest` symbols.
    ///
    /// # Errors
    ///
    /// The search takes too long.
    pub(crate) fn classes(&self, longest: usize) -> Result<Vec<Vec<Symbol>>, Undecided> {
        let of_left = |places: &Places| {
            self.left_allows_all || places.iter().any(|at| self.at(*at).1 == Role::LeftAllows)
        };
        let (mut words, mut known) = (Vec::new(), HashSet::new());
        self.search(longest, of_left, |places, word| {
            let ends: Places =
                places.iter().filter(|at| self.at(**at).0.is_none()).copied().collect();
            let allows = self.left_allows_all || self.held(places, Role::LeftAllows);
            if allows && !self.held(places, Role::LeftDenies) && known.insert(ends) {
                words.push(word());
            }
            false
        })?;
        Ok(words)
    }

    /// Visits the words of the universe, the shortest first, one for each set of places that words
    /// come to. It goes on to longer words where `may_go_on` says so, and ends if `visit` returns
    /// true.
    fn search(
        &self,
        longest: usize,
        may_go_on: impl Fn(&Places) -> bool,
        mut visit: impl FnMut(&Places, &dyn Fn() -> Vec<Symbol>) -> bool,
    ) -> Result<(), Undecided> {
        let mut begin = Places::new();
        self.first.iter().for_each(|first| self.reach(&mut begin, (*first, false)));
        begin.sort_unstable();
        let mut seen = HashSet::from([(0, begin.clone())]);
        // The words that were read, each by the word before its last symbol.
        let mut words: Vec<(usize, Symbol)> = vec![(0, OTHER)];
        let mut queue = VecDeque::from([(0, 0, 0, begin)]);
        let mut work = 0;
        while let Some((word, length, state, places)) = queue.pop_front() {
            let symbols = || {
                let ends =
                    std::iter::successors(Some(word), |word| (*word > 0).then(|| words[*word].0));
                let mut symbols: Vec<_> =
                    ends.filter(|word| *word > 0).map(|word| words[word].1).collect();
                symbols.reverse();
                symbols
            };
            if self.universe.ends(state) && visit(&places, &symbols) {
                return Ok(());
            }
            if length == longest || !may_go_on(&places) {
                continue;
            }
            let mut symbols = vec![OTHER, SEPARATOR];
            symbols.extend(places.iter().filter_map(|place| match self.at(*place).0 {
                Some(Step::One(symbol)) => Some(symbol),
                _ => None,
            }));
            symbols.sort_unstable();
            symbols.dedup();
            for symbol in symbols {
                if symbol == Symbol::MAX {
                    return Err(Undecided::TooLarge);
                }
                let Some(state) = self.universe.next(state, symbol) else { continue };
                work += places.len() + 1;
                if work > WORK {
                    return Err(Undecided::TooLarge);
                }
                let places = self.after(&places, symbol);
                if seen.insert((state, places.clone())) {
                    words.push((word, symbol));
                    queue.push_back((words.len() - 1, length + 1, state, places));
                }
            }
        }
        Ok(())
    }
}

/// Some seconds of work.
const WORK: usize = 30_000_000;
