//! UNIX paths and abstract names: which rule holds a path, and where to walk to it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::denial::Denial;
use crate::index::RuleId;
use crate::path::{AbstractPattern, Component, PathPattern, match_components};
use crate::rule::with_target;
use crate::verbs::Verb;

/// The name of a UNIX socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixTarget<'a> {
    /// A path. A relative path starts at the policy's base directory.
    Path(&'a [u8]),
    /// An abstract name, without its NUL.
    Abstract(&'a [u8]),
    /// No name. For a bind, the kernel chooses an abstract name.
    Unnamed,
}

/// Returns the real path of a path: absolute, with every link followed. It fails if the path does
/// not exist.
///
/// Only the host has the file system, so the caller of
/// [`build_with`](super::PolicyBuilder::build_with) passes such a function.
pub type RealPath<'a> = &'a dyn Fn(&Path) -> io::Result<PathBuf>;

/// The rules about what lies under one directory.
#[derive(Clone, Debug, Default)]
struct Group {
    /// Where the directory really was when the rule was made, every link followed.
    real: PathBuf,
    /// Plain names in it.
    names: HashMap<Box<[u8]>, RuleText>,
    /// What follows the directory in patterns with `*`, `?` or `**`, those without `**` first.
    patterns: Vec<(Arc<[Component]>, RuleText)>,
}

/// A rule, and its text, which outlives the policy in a [`UnixRoute`].
#[derive(Clone, Debug)]
pub(super) struct RuleText {
    pub(super) rule: RuleId,
    pub(super) text: Arc<str>,
}

/// The rules of one UNIX verb.
///
/// A path costs one look-up a component, and a comparison with each pattern under the directories
/// it lies in.
#[derive(Clone, Debug, Default)]
pub(super) struct UnixRules {
    /// By directory, without the last slash: the root is empty.
    groups: HashMap<Box<[u8]>, Group>,
    names: HashMap<Box<[u8]>, RuleText>,
    /// Those with the most literal bytes first.
    patterns: Vec<(AbstractPattern, RuleText)>,
}

/// What follows the directory in a rule about a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pattern<'a> {
    /// This name.
    Name(&'a [u8]),
    /// Components, of which one at least is a pattern.
    Components(&'a [Component]),
}

/// What a rule says of a path: the directory's length in the path, what follows, and the rule.
struct Match<'a> {
    directory: usize,
    rest: Option<&'a Arc<[Component]>>,
    rule: &'a RuleText,
}

impl UnixRules {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.names.is_empty() && self.patterns.is_empty()
    }

    /// Returns the folder that each path rule fixes, absolute: its longest part without a pattern.
    /// A rule that denies also has the folder's real path.
    pub(super) fn folders(&self) -> impl Iterator<Item = (PathBuf, &str)> {
        self.groups.iter().flat_map(|(directory, group)| {
            let folder = Path::new("/")
                .join(OsStr::from_bytes(directory.strip_prefix(b"/").unwrap_or(directory)));
            let rules = group.names.values().chain(group.patterns.iter().map(|(_, rule)| rule));
            rules.map(move |rule| (folder.clone(), &*rule.text))
        })
    }

    /// Returns the path of each rule: the directory that the rule spells out, absolute and without
    /// the last slash, and what follows.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&[u8], Pattern<'_>)> {
        self.groups.iter().flat_map(|(directory, group)| {
            let names = group.names.keys().map(|name| Pattern::Name(name));
            let patterns = group.patterns.iter().map(|(rest, _)| Pattern::Components(rest));
            names.chain(patterns).map(move |pattern| (&**directory, pattern))
        })
    }

    /// Returns the abstract name of each rule: its parts, which any bytes may separate.
    pub(super) fn abstract_names(&self) -> impl Iterator<Item = Vec<&[u8]>> {
        let names = self.names.keys().map(|name| vec![&**name]);
        let patterns = self.patterns.iter().map(|(pattern, _)| &pattern.parts);
        names.chain(patterns.map(|parts| parts.iter().map(|part| &**part).collect()))
    }

    pub(super) fn add_abstract(&mut self, pattern: &AbstractPattern, rule: &RuleText) {
        match pattern.exact() {
            Some(name) => {
                self.names.entry(name.into()).or_insert_with(|| rule.clone());
            }
            None => {
                let literal = |pattern: &AbstractPattern| {
                    pattern.parts.iter().map(|part| part.len()).sum::<usize>()
                };
                let own = literal(pattern);
                let at = self.patterns.partition_point(|(before, _)| literal(before) >= own);
                self.patterns.insert(at, (pattern.clone(), rule.clone()));
            }
        }
    }

    /// Adds a path, as it is written or relative to `base`.
    pub(super) fn add_path(
        &mut self,
        pattern: &PathPattern,
        base: Option<&[u8]>,
        real_path: RealPath<'_>,
        rule: &RuleText,
    ) {
        let (directory, rest) = split(pattern, base);
        self.insert(directory, rest, real_path, rule);
    }

    /// Adds a path, the same path by the real place of its directory, and the real path if it
    /// exists. A rule that denies must hold for every name of a path.
    pub(super) fn add_path_and_real(
        &mut self,
        pattern: &PathPattern,
        base: Option<&[u8]>,
        real_path: RealPath<'_>,
        rule: &RuleText,
    ) {
        let (directory, rest) = split(pattern, base);
        let real = real_directory(&directory, real_path);
        if real != directory {
            self.insert(real, rest, real_path, rule);
        }
        if let [Component::Literal(name)] = rest {
            let mut whole = directory.clone();
            whole.push(b'/');
            whole.extend_from_slice(name);
            let whole = real_path(Path::new(OsStr::from_bytes(&whole)))
                .map(|path| path.into_os_string().into_vec());
            if let Ok(whole) = whole
                && let Some(at) = whole.iter().rposition(|b| *b == b'/')
            {
                let name = Component::Literal(whole[at + 1..].into());
                self.insert(whole[..at].to_vec(), &[name], real_path, rule);
            }
        }
        self.insert(directory, rest, real_path, rule);
    }

    fn insert(
        &mut self,
        directory: Vec<u8>,
        rest: &[Component],
        real_path: RealPath<'_>,
        rule: &RuleText,
    ) {
        let group = self.groups.entry(directory.into()).or_insert_with_key(|directory| Group {
            real: Path::new("/").join(OsString::from_vec(real_directory(directory, real_path))),
            ..Group::default()
        });
        match rest {
            [Component::Literal(name)] => {
                group.names.entry(name.clone()).or_insert_with(|| rule.clone());
            }
            rest => {
                let deep = |rest: &[Component]| rest.contains(&Component::AnyDepth);
                let own = deep(rest);
                let at = group.patterns.partition_point(|(before, _)| own || !deep(before));
                group.patterns.insert(at, (rest.into(), rule.clone()));
            }
        }
    }

    /// The most specific rule that holds an absolute, normal path.
    pub(super) fn path(&self, path: &[u8]) -> Option<&RuleText> {
        self.matches(path).next().map(|found| found.rule)
    }

    /// The most specific rule that holds an abstract name.
    pub(super) fn name(&self, name: &[u8]) -> Option<&RuleText> {
        if let Some(rule) = self.names.get(name) {
            return Some(rule);
        }
        self.patterns.iter().find(|(pattern, _)| pattern.matches(name)).map(|(_, rule)| rule)
    }

    /// The rule that holds every abstract name, and so the ones that the kernel chooses.
    pub(super) fn every_name(&self) -> Option<&RuleText> {
        let every = |pattern: &AbstractPattern| {
            pattern.exact().is_none() && pattern.parts.iter().all(|part| part.is_empty())
        };
        self.patterns.iter().find(|(pattern, _)| every(pattern)).map(|(_, rule)| rule)
    }

    /// A rule about some name that the kernel may choose: five hexadecimal digits.
    pub(super) fn kernel_chosen_name(&self) -> Option<&RuleText> {
        let may = |parts: &[&[u8]]| {
            let digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            parts.iter().copied().flatten().all(digit)
                && parts.iter().map(|part| part.len()).sum::<usize>() <= 5
        };
        let name = self
            .names
            .iter()
            .find(|(name, _)| name.len() == 5 && may(&[name]))
            .map(|(_, rule)| rule);
        let pattern = || {
            let held = |pattern: &AbstractPattern| {
                may(&pattern.parts.iter().map(|part| &**part).collect::<Vec<_>>())
            };
            self.patterns.iter().find(|(pattern, _)| held(pattern)).map(|(_, rule)| rule)
        };
        name.or_else(pattern)
    }

    /// The rules that hold a path, the most specific first: those of the innermost directory, and in
    /// each the path's own name before patterns.
    fn matches<'r, 'p>(&'r self, path: &'p [u8]) -> impl Iterator<Item = Match<'r>> + use<'r, 'p> {
        let groups = if self.groups.is_empty() { &[] } else { path };
        let slashes =
            groups.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        slashes.filter_map(|at| Some((at, self.groups.get(&path[..at])?))).flat_map(
            move |(directory, group)| {
                let below = &path[directory + 1..];
                let name = group.names.get(below).map(|rule| Match { directory, rest: None, rule });
                let held =
                    group.patterns.iter().filter(move |(rest, _)| match_components(rest, below));
                name.into_iter().chain(held.map(move |(rest, rule)| Match {
                    directory,
                    rest: Some(rest),
                    rule,
                }))
            },
        )
    }

    /// Where to walk to reach `path`: a route for each directory that a rule about it names.
    pub(super) fn routes(
        self: &Arc<Self>,
        verb: Verb,
        path: &[u8],
        deny: &Arc<Self>,
    ) -> Vec<UnixRoute> {
        let mut routes: Vec<UnixRoute> = Vec::new();
        for found in self.matches(path) {
            let (base, relative) = (&path[..found.directory], &path[found.directory + 1..]);
            let rest = match found.rest {
                Some(rest) => Arc::clone(rest),
                None => Arc::new([Component::Literal(relative.into())]),
            };
            let base =
                if base.is_empty() { Path::new("/") } else { Path::new(OsStr::from_bytes(base)) };
            match routes.iter_mut().find(|route| route.base == base) {
                Some(route) => route.patterns.push(rest),
                None => routes.push(UnixRoute {
                    base: base.into(),
                    relative: OsStr::from_bytes(relative).into(),
                    real: self
                        .groups
                        .get(&path[..found.directory])
                        .map(|group| group.real.clone())
                        .unwrap_or_default(),
                    verb,
                    patterns: vec![rest],
                    allow: Some(Arc::clone(self)),
                    deny: Arc::clone(deny),
                    kept: Vec::new(),
                }),
            }
        }
        routes
    }
}

/// The literal directory of a pattern, and the components that follow.
fn split<'a>(pattern: &'a PathPattern, base: Option<&[u8]>) -> (Vec<u8>, &'a [Component]) {
    let mut directory =
        if pattern.absolute { Vec::new() } else { base.unwrap_or_default().to_vec() };
    let (literal, rest) = pattern.components.split_at(pattern.literal_directories());
    for component in literal {
        if let Component::Literal(name) = component {
            directory.push(b'/');
            directory.extend_from_slice(name);
        }
    }
    (directory, rest)
}

/// The real path of a directory; of the part that exists, where not all of it does.
fn real_directory(directory: &[u8], real_path: RealPath<'_>) -> Vec<u8> {
    let mut end = directory.len();
    while end > 0 {
        if let Ok(real) = real_path(Path::new(OsStr::from_bytes(&directory[..end]))) {
            let mut real = real.into_os_string().into_vec();
            if real == b"/" {
                real.clear();
            }
            real.extend_from_slice(&directory[end..]);
            return real;
        }
        end = directory[..end].iter().rposition(|b| *b == b'/').unwrap_or(0);
    }
    directory.to_vec()
}

/// A path as the rules know it: absolute, without `.`, empty components or a slash at the end.
/// `Err` says why it is none.
pub(super) fn absolute<'a>(
    path: &'a [u8],
    base: Option<&[u8]>,
) -> Result<Cow<'a, [u8]>, &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.contains(&0) {
        return Err("it holds a NUL");
    }
    let relative = path[0] != b'/';
    let mut normal = !relative;
    for part in path[usize::from(!relative)..].split(|b| *b == b'/') {
        match part {
            b".." => return Err("`..` never matches a rule; name the path without it"),
            b"" | b"." => normal = false,
            _ => {}
        }
    }
    if normal {
        return Ok(Cow::Borrowed(path));
    }
    let mut whole = match (relative, base) {
        (false, _) => Vec::new(),
        (true, Some(base)) => base.to_vec(),
        (true, None) => return Err("it is relative, and there is no directory to start from"),
    };
    let base = whole.len();
    for part in path.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b".")) {
        whole.push(b'/');
        whole.extend_from_slice(part);
    }
    if whole.len() == base { Err("it names a directory") } else { Ok(Cow::Owned(whole)) }
}

/// One way to a UNIX path that a rule allows: a directory that the operator named, and a path
/// beneath it.
///
/// The caller opens [`base`](Self::base), walks [`relative`](Self::relative) beneath it without
/// leaving it, and asks [`permits`](Self::permits) about the place where that led.
#[derive(Clone, Debug)]
pub struct UnixRoute {
    /// The longest literal directory of the rule, absolute.
    pub base: PathBuf,
    /// The guest's path beneath it, of one or more components, none of them `.` or `..`.
    pub relative: PathBuf,
    /// Where the base really was when the policy was built, every link followed.
    real: PathBuf,
    verb: Verb,
    /// What the rules that led here have after the base.
    patterns: Vec<Arc<[Component]>>,
    /// The rules that allow. None if everything is allowed that is not denied.
    allow: Option<Arc<UnixRules>>,
    deny: Arc<UnixRules>,
    /// The rules that the guest has kept each time that it gave up rights.
    kept: Vec<Arc<UnixRules>>,
}

impl UnixRoute {
    pub(super) fn of_everything(verb: Verb, path: &[u8], deny: &Arc<UnixRules>) -> Self {
        Self {
            base: "/".into(),
            relative: OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)).into(),
            real: "/".into(),
            verb,
            patterns: Vec::new(),
            allow: None,
            deny: Arc::clone(deny),
            kept: Vec::new(),
        }
    }

    /// Adds rules that the guest has kept.
    pub(super) fn keep(&mut self, rules: &Arc<UnixRules>) {
        self.kept.push(Arc::clone(rules));
    }

    /// Judges the directory that [`base`](Self::base) is now, by its real path. It must be where it
    /// was when the policy was built. Otherwise a link has taken its place, or that of a directory
    /// above it.
    ///
    /// # Errors
    ///
    /// It is elsewhere.
    pub fn permits_base(&self, real_base: &Path) -> Result<(), Denial> {
        if real_base == self.real {
            return Ok(());
        }
        let (base, real, now) = (self.base.display(), self.real.display(), real_base.display());
        Err(Denial::new(format!(
            "{} under {base} is denied: its real path was {real} at the start and is {now} now",
            self.verb
        )))
    }

    /// Judges where the walk led: `real_base` is the real path of [`base`](Self::base),
    /// `real_relative` the real path beneath it, every link followed.
    ///
    /// The rule's own pattern must hold `real_relative`, or some rule the whole real path; and no
    /// deny rule may hold that.
    ///
    /// # Errors
    ///
    /// The walk led to a place that is not granted, or that is denied.
    pub fn permits(&self, real_base: &Path, real_relative: &Path) -> Result<(), Denial> {
        let base = real_base.as_os_str().as_bytes();
        let base = base.strip_suffix(b"/").unwrap_or(base);
        let relative = real_relative.as_os_str().as_bytes();
        let plain = (base.is_empty() || base.starts_with(b"/"))
            && relative.split(|b| *b == b'/').all(|part| !matches!(part, b"" | b"." | b".."));
        let mut real = base.to_vec();
        real.push(b'/');
        real.extend_from_slice(relative);
        let shown = || format!("{} to {}", self.verb, show_path(&real));
        if !plain {
            return Err(Denial::new(format!("{} is denied: it is not a real path", shown())));
        }
        if let Some(rule) = self.deny.path(&real) {
            return Err(Denial::by_rule(shown(), &rule.text));
        }
        // The rules that the guest kept name the folder as the guest does, or its real place.
        let named = self.base.join(real_relative);
        let given = |kept: &Arc<UnixRules>| {
            kept.path(named.as_os_str().as_bytes()).is_some() || kept.path(&real).is_some()
        };
        if !self.kept.iter().all(given) {
            return Err(Denial::new(format!(
                "{} is denied: the guest gave it up with restrict",
                shown()
            )));
        }
        let Some(allow) = &self.allow else {
            return Ok(());
        };
        if self.patterns.iter().any(|rest| match_components(rest, relative))
            || allow.path(&real).is_some()
        {
            return Ok(());
        }
        let from = show_path(self.base.join(&self.relative).as_os_str().as_bytes());
        Err(Denial::missing(
            format!("{} (a link leads there from {from})", shown()),
            path_grant(self.verb, &real),
        ))
    }
}

/// Returns the rule that names this path alone. None if a rule would name more, or can't name it.
pub(super) fn path_grant(verb: Verb, path: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    let plain = !text.contains(['*', '?']) && !text.chars().any(char::is_control);
    plain.then(|| with_target(verb, text))
}

/// Returns a path to be printed. Bytes that are no text, and control characters, are escaped.
pub fn show_path(path: &[u8]) -> String {
    path.utf8_chunks()
        .flat_map(|chunk| {
            let plain = |c: char| matches!(c, '\'' | '"');
            let mut text = String::new();
            for c in chunk.valid().chars() {
                if plain(c) { text.push(c) } else { text.extend(c.escape_debug()) }
            }
            let bytes = chunk.invalid().iter().map(|b| format!("\\x{b:02x}")).collect::<String>();
            [text, bytes]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::{Policy, Verb};
    use super::*;

    fn policy(base: &str, allow: &[&str], deny: &[&str]) -> Policy {
        let mut builder = Policy::builder();
        builder.base_directory(base).unwrap();
        for rule in allow {
            builder.allow(rule).unwrap();
        }
        for rule in deny {
            builder.deny(rule).unwrap();
        }
        builder.build()
    }

    fn routes(policy: &Policy, path: &str) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let routes = policy.unix_route(Verb::UnixConnect, path.as_bytes());
        routes
            .unwrap_or_default()
            .iter()
            .map(|route| (text(&route.base), text(&route.relative)))
            .collect()
    }

    fn pair(base: &str, relative: &str) -> (String, String) {
        (base.into(), relative.into())
    }

    #[test]
    fn absolute_drops_what_changes_nothing() {
        let base = Some(&b"/base"[..]);
        for (given, whole) in [
            ("/a/b", "/a/b"),
            ("//a/./b", "/a/b"),
            ("/a/b/", "/a/b"),
            ("a", "/base/a"),
            ("./a//b", "/base/a/b"),
            ("/...", "/..."),
            ("/..a", "/..a"),
        ] {
            assert_eq!(
                absolute(given.as_bytes(), base).as_deref(),
                Ok(whole.as_bytes()),
                "{given}"
            );
        }
        assert!(matches!(absolute(b"/a/b", base), Ok(Cow::Borrowed(_))));
        assert_eq!(absolute(b"a", Some(b"")).as_deref(), Ok(&b"/a"[..]));
    }

    #[test]
    fn absolute_of_dot_dot_or_nothing_is_refused() {
        for given in ["", "..", "/a/../b", "/a/..", "../a", "/", ".", "//", "./", "/a\0b"] {
            assert!(absolute(given.as_bytes(), Some(b"/base")).is_err(), "{given:?}");
        }
        assert!(absolute(b"a", None).is_err());
    }

    #[test]
    fn route_starts_at_the_longest_literal_directory() {
        let policy = policy(
            "/base",
            &[
                "unix-connect=/run/app/*.sock",
                "unix-connect=/run/**/x.sock",
                "unix-connect=/run/app/x.sock",
                "unix-connect=sub/?",
            ],
            &[],
        );
        assert_eq!(
            routes(&policy, "/run/app/x.sock"),
            [pair("/run/app", "x.sock"), pair("/run", "app/x.sock")]
        );
        assert_eq!(routes(&policy, "/run//app/./y.sock"), [pair("/run/app", "y.sock")]);
        assert_eq!(routes(&policy, "sub/a"), [pair("/base/sub", "a")]);
        assert_eq!(routes(&policy, "/base/sub/a"), [pair("/base/sub", "a")]);
        assert!(routes(&policy, "/run/app/y").is_empty());
        assert!(routes(&policy, "/run/app/../app/x.sock").is_empty());
    }

    #[test]
    fn route_under_allow_all_starts_at_the_root() {
        let mut builder = Policy::builder();
        builder.allow_all().deny("unix-connect=/run/secret/**").unwrap();
        let policy = builder.build();
        assert_eq!(routes(&policy, "/run/app/x"), [pair("/", "run/app/x")]);
        assert!(routes(&policy, "/run/secret/x").is_empty());
        let route = &policy.unix_route(Verb::UnixConnect, b"/run/link").unwrap()[0];
        assert!(route.permits(Path::new("/"), Path::new("run/app/x")).is_ok());
        assert!(route.permits(Path::new("/"), Path::new("run/secret/a/b")).is_err());
    }

    #[test]
    fn route_of_another_verb_is_denied() {
        let policy = policy("/", &["unix-connect=/run/x"], &[]);
        assert!(policy.unix_route(Verb::UnixBind, b"/run/x").is_err());
        assert!(policy.unix_route(Verb::Resolve, b"/run/x").is_err());
    }

    #[test]
    fn permits_the_real_path_that_the_pattern_holds() {
        let policy = policy(
            "/",
            &["unix-connect=/var/run/app/*.sock"],
            &["unix-connect=/run/app/secret.sock"],
        );
        let routes = policy.unix_route(Verb::UnixConnect, b"/var/run/app/a.sock").unwrap();
        let permits =
            |base: &str, relative: &str| routes[0].permits(Path::new(base), Path::new(relative));
        // The operator's own link in the base is no way out.
        assert!(permits("/run/app", "a.sock").is_ok());
        assert!(permits("/run/app", "b.sock").is_ok());
        assert_eq!(
            permits("/run/app", "sub/a.sock").unwrap_err().grant.as_deref(),
            Some("unix-connect=/run/app/sub/a.sock")
        );
        assert!(
            permits("/run/app", "docker")
                .unwrap_err()
                .reason
                .contains("a link leads there from /var/run/app/a.sock")
        );
        assert_eq!(
            permits("/run/app", "secret.sock").unwrap_err().rule.as_deref(),
            Some("unix-connect=/run/app/secret.sock")
        );
        for bad in ["", "../x.sock", "/etc/x.sock", "a//b.sock", "./a.sock"] {
            assert!(permits("/run/app", bad).is_err(), "{bad}");
        }
        assert!(permits("run/app", "a.sock").is_err());
    }

    #[test]
    fn permits_a_link_to_what_another_rule_grants() {
        let policy =
            policy("/", &["unix-connect=/run/app/current", "unix-connect=/run/app/v1"], &[]);
        let routes = policy.unix_route(Verb::UnixConnect, b"/run/app/current").unwrap();
        assert!(routes[0].permits(Path::new("/run/app"), Path::new("v1")).is_ok());
        assert!(routes[0].permits(Path::new("/run/app"), Path::new("v2")).is_err());
    }

    #[test]
    fn deny_holds_for_the_real_place_of_its_directory() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let text = root.to_str().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        symlink(root.join("real"), root.join("link")).unwrap();
        std::fs::write(root.join("real/target"), "").unwrap();
        symlink("real/target", root.join("alias")).unwrap();
        let allow = format!("unix-connect={text}/**");
        let denied = |rule: &str, path: &str| {
            let policy = policy("/", &[&allow], &[&format!("unix-connect={text}/{rule}")]);
            policy.unix_route(Verb::UnixConnect, format!("{text}/{path}").as_bytes()).is_err()
        };
        assert!(denied("link/*.sock", "link/a.sock") && denied("link/*.sock", "real/a.sock"));
        assert!(
            denied("link/new/a", "real/new/a")
                && denied("alias", "real/target")
                && denied("alias", "alias")
        );
        assert!(!denied("link/*.sock", "real/a") && !denied("alias", "real/other"));
    }

    #[test]
    fn relative_rule_needs_its_directory_first() {
        let mut builder = Policy::builder();
        let error = builder.allow("unix-bind=a.sock").unwrap_err();
        assert!(error.to_string().starts_with("at character 11: the path is relative"), "{error}");
        assert!(
            builder.base_directory("work").is_err()
                && builder.base_directory("/base/../etc").is_err()
        );
        // What stands in the directory is no pattern.
        builder.base_directory("/wo*rk/").unwrap().allow("unix-bind=a.sock").unwrap();
        let policy = builder.build();
        assert!(policy.unix_route(Verb::UnixBind, b"a.sock").is_ok());
        assert!(policy.unix_route(Verb::UnixBind, b"/wo*rk/a.sock").is_ok());
        assert!(policy.unix_route(Verb::UnixBind, b"/woXrk/a.sock").is_err());
        for root in ["/", "//", "/."] {
            let mut builder = Policy::builder();
            builder.base_directory(root).unwrap().allow("unix-bind=a").unwrap();
            assert!(builder.build().unix_route(Verb::UnixBind, b"/a").is_ok(), "{root}");
        }
    }

    #[test]
    fn folders_are_those_that_rules_fix() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let link = root.join("link");
        symlink("/usr", &link).unwrap();
        let mut builder = Policy::builder();
        builder.base_directory("/base").unwrap();
        for rule in [
            "unix-connect=/run/app/*.sock",
            "unix-connect=/run/app/a/b.sock",
            "unix-bind=x/**",
            "unix-connect=@x",
        ] {
            builder.allow(rule).unwrap();
        }
        let denied = format!("unix-bind={}/*", link.display());
        builder.deny("unix-connect=/**").unwrap().deny(&denied).unwrap();
        let policy = builder.build();
        let mut folders: Vec<_> = policy.unix_folders().collect();
        folders.sort();
        let link = link.as_path();
        let mut expected = [
            (Path::new("/run/app"), "unix-connect=/run/app/*.sock", false),
            (Path::new("/run/app/a"), "unix-connect=/run/app/a/b.sock", false),
            (Path::new("/base/x"), "unix-bind=x/**", false),
            (Path::new("/"), "unix-connect=/**", true),
            // A folder that is denied has its real place too.
            (link, &denied, true),
            (Path::new("/usr"), &denied, true),
        ]
        .map(|(folder, rule, deny)| (folder.to_owned(), rule, deny));
        expected.sort();
        assert_eq!(folders, expected);
    }

    #[test]
    fn show_escapes_what_is_no_text() {
        assert_eq!(
            show_path(b"/run/it's \"\xff\n\x1b[31m\xc3\xbc"),
            "/run/it's \"\\xff\\n\\u{1b}[31m\u{fc}"
        );
    }
}
