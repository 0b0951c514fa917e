use super::*;
use proptest::prelude::*;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn image(text: &str) -> ImageRef {
    ImageRef::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_pattern_means_what_it_says_and_nothing_that_looks_like_it() {
    for (text, source, wanted) in [
        (
            "registry.example.org/team/*",
            "registry.example.org/team/app:1",
            true,
        ),
        (
            "registry.example.org/team/*",
            "registry.example.org/team/a/b:1",
            false,
        ),
        (
            "registry.example.org/team/*",
            "registry.example.org/team:1",
            false,
        ),
        (
            "registry.example.org/team/*",
            "registry.example.org/teams/app:1",
            false,
        ),
        (
            "registry.example.org/team/*",
            "registry.example.org/x/team/app:1",
            false,
        ),
        (
            "registry.example.org/team/*",
            "registry.example.org.evil.net/team/app:1",
            false,
        ),
        (
            "registry.example.org/team/*",
            "evil-registry.example.org/team/app:1",
            false,
        ),
        (
            "registry.example.org/team/*",
            "docker.io/registry.example.org/team:1",
            false,
        ),
        (
            "registry.example.org/team/*",
            "REGISTRY.Example.org/team/app:1",
            true,
        ),
        (
            "registry.example.org/team/*",
            "registry.example.org:443/team/app:1",
            true,
        ),
        (
            "registry.example.org/team/*",
            "registry.example.org:0443/team/app:1",
            true,
        ),
        (
            "registry.example.org/team/*",
            "registry.example.org:5000/team/app:1",
            false,
        ),
        (
            "Registry.example.org:5000/team/*",
            "registry.example.org:5000/team/app:1",
            true,
        ),
        (
            "registry.example.org:5000/team/*",
            "registry.example.org/team/app:1",
            false,
        ),
        ("*.example.org/app", "registry.example.org/app:1", true),
        ("*.example.org/app", "a.b.example.org/app:1", true),
        ("*.example.org/app", "example.org/app:1", false),
        ("*.example.org/app", "evilexample.org/app:1", false),
        ("*.example.org/app", "registry.example.org.evil.net/app:1", false),
        ("*.example.org:5000/app", "registry.example.org:5000/app:1", true),
        ("*.example.org:5000/app", "registry.example.org/app:1", false),
        (
            "registry.example.org/team/**",
            "registry.example.org/team/a/b/c:1",
            true,
        ),
        (
            "registry.example.org/team/**",
            "registry.example.org/team/a:1",
            true,
        ),
        (
            "registry.example.org/team/**",
            "registry.example.org/team:1",
            false,
        ),
        (
            "registry.example.org/**/app",
            "registry.example.org/a/b/app:1",
            true,
        ),
        ("registry.example.org/**/app", "registry.example.org/app:1", false),
        (
            "registry.example.org/team/app-*",
            "registry.example.org/team/app-one:1",
            true,
        ),
        (
            "registry.example.org/team/app-*",
            "registry.example.org/team/app:1",
            false,
        ),
        (
            "registry.example.org/team/*-app",
            "registry.example.org/team/one-app:1",
            true,
        ),
        (
            "registry.example.org/team/*-app",
            "registry.example.org/team/one-apps:1",
            false,
        ),
        (
            "registry.example.org/team.app",
            "registry.example.org/team-app:1",
            false,
        ),
        ("docker.io/library/*", "nginx:1", true),
        ("docker.io/library/*", "docker.io/nginx:1", true),
        ("docker.io/library/*", "index.docker.io/nginx:1", true),
        ("docker.io/library/*", "DOCKER.io/nginx:1", true),
        ("docker.io/library/*", "INDEX.docker.io/nginx:1", true),
        (
            "docker.io/library/*",
            "registry-1.docker.io/library/nginx:1",
            true,
        ),
        ("docker.io/**", "Registry.Hub.docker.com:443/team/nginx:1", true),
        ("docker.io/library/*", "team/nginx:1", false),
        ("docker.io/team/*", "team/nginx:1", true),
        ("docker.io/**", "nginx:1", true),
        ("localhost/app", "localhost/app:1", true),
        ("[::1]:5000/app", "[0:0:0:0:0:0:0:1]:5000/app:1", true),
        ("[::1]:5000/app", "[::2]:5000/app:1", false),
        ("**", "nginx:1", true),
        ("**", "registry.example.org:5000/a/b/c:1", true),
    ] {
        assert_eq!(pattern(text).matches(&image(source)), wanted, "{text} {source}");
    }
}

#[test]
fn what_no_image_could_match_is_no_pattern() {
    for (text, error) in [
        ("", PatternError::NoRegistry),
        ("nginx", PatternError::NoRegistry),
        ("*", PatternError::NoRegistry),
        ("team/app", PatternError::NoRegistry),
        ("*/app", PatternError::Registry),
        ("**/app", PatternError::Registry),
        ("registry.*/app", PatternError::Registry),
        ("reg*.example.org/app", PatternError::Registry),
        ("*.*.example.org/app", PatternError::Registry),
        ("registry.example.org:*/app", PatternError::Registry),
        ("https://registry.example.org/app", PatternError::Registry),
        ("registry.example.org/", PatternError::Component),
        ("registry.example.org/Team/*", PatternError::Component),
        ("registry.example.org/team//a", PatternError::Component),
        ("registry.example.org/team/a**", PatternError::Component),
        ("registry.example.org/team/***", PatternError::Component),
        ("registry.example.org/team/-*", PatternError::Component),
        ("registry.example.org/team/a..*", PatternError::Component),
        ("registry.example.org/team/a ?", PatternError::Component),
        ("registry.example.org/team/app:1", PatternError::Tag),
        ("registry.example.org/team/app:*", PatternError::Tag),
        ("docker.io/nginx", PatternError::Library),
        ("docker.io/*", PatternError::Library),
        ("index.docker.io/library/nginx", PatternError::Alias),
        ("Registry-1.docker.io:443/**", PatternError::Alias),
        ("registry.hub.docker.com/library/nginx", PatternError::Alias),
        ("*.docker.io/**", PatternError::Alias),
        ("*.docker.com/**", PatternError::Alias),
    ] {
        assert_eq!(Pattern::parse(text), Err(error), "{text}");
    }
}

#[test]
fn a_wider_pattern_is_known() {
    for (wide, narrow, wanted) in [
        ("**", "registry.example.org/a", true),
        ("**", "**", true),
        ("registry.example.org/**", "**", false),
        ("registry.example.org/**", "registry.example.org/a/*", true),
        ("registry.example.org/**", "REGISTRY.example.org:443/a", true),
        ("registry.example.org/a/*", "registry.example.org/a/b-*", true),
        ("registry.example.org/a/b-*", "registry.example.org/a/*", false),
        ("registry.example.org/a/*", "registry.example.org/a/**", false),
        ("registry.example.org/*/*", "registry.example.org/**/a", false),
        ("registry.example.org/**/a", "registry.example.org/*/a", true),
        ("registry.example.org/a*c", "registry.example.org/a*b*c", true),
        ("registry.example.org/a*b*c", "registry.example.org/a*c", false),
        ("*.example.org/a", "registry.example.org/a", true),
        ("*.example.org/a", "*.b.example.org/a", true),
        ("*.b.example.org/a", "*.example.org/a", false),
        ("registry.example.org/a", "*.example.org/a", false),
        ("*.example.org/a", "example.org/a", false),
        ("*.example.org:5000/a", "registry.example.org/a", false),
    ] {
        assert_eq!(pattern(wide).covers(&pattern(narrow)), wanted, "{wide} {narrow}");
    }
}

fn host() -> impl Strategy<Value = String> {
    "(registry|a|reg)\\.(example|a)\\.(org|net)(:5000|:443)?"
}

fn path() -> impl Strategy<Value = String> {
    "[ab]{1,3}((-|_|\\.|__)[ab]{1,2})?(/[ab]{1,3}(-[ab]{1,2})?){0,3}"
}

/// Some components of the name as `*`, `**` or with a `*` in them.
fn widened() -> impl Strategy<Value = String> {
    let component = prop_oneof!["[ab]{1,2}", "[ab]?\\*[ab]?", Just("**".to_owned())];
    let components = proptest::collection::vec(component, 1..4).prop_map(|all| all.join("/"));
    let registry = prop_oneof![host(), "\\*\\.(example|a)\\.org(:5000)?"];
    (registry, components).prop_map(|(registry, path)| format!("{registry}/{path}"))
}

/// Says the same as the tables do, the slow and obvious way.
fn obvious(parts: &[&str], words: &[&str]) -> bool {
    fn letters(glob: &[u8], word: &[u8]) -> bool {
        match (glob.split_first(), word.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=word.len()).any(|at| letters(rest, &word[at..])),
            (Some((a, rest)), Some((b, behind))) => a == b && letters(rest, behind),
            _ => false,
        }
    }
    match (parts.split_first(), words.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), Some(_)) => (1..=words.len()).any(|at| obvious(rest, &words[at..])),
        (Some((glob, rest)), Some((word, behind))) => {
            letters(glob.as_bytes(), word.as_bytes()) && obvious(rest, behind)
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_pattern_without_stars_is_one_name(registry in host(), one in path(), other in path(), elsewhere in host()) {
        let exact = pattern(&format!("{registry}/{one}"));
        let same = |registry: &str, path: &str| exact.matches(&image(&format!("{registry}/{path}:1")));
        prop_assert!(same(&registry, &one));
        prop_assert!(same(&registry.to_ascii_uppercase(), &one));
        prop_assert_eq!(same(&registry, &other), one == other);
        let plain = |host: &str| host.trim_end_matches(":443").to_owned();
        prop_assert_eq!(same(&elsewhere, &one), plain(&registry) == plain(&elsewhere));
    }

    #[test]
    fn a_letter_more_is_another_name(registry in host(), path in path(), at in any::<prop::sample::Index>(), letter in "[a-z0-9./-]") {
        let name = format!("{registry}/{path}");
        let mut changed = name.clone();
        changed.insert_str(at.index(name.len() + 1), &letter);
        if let Ok(image) = ImageRef::parse(&format!("{changed}:1")) {
            // A port may have a zero in front.
            let same = Host::new(image.registry()) == Host::new(&registry) && image.repository() == path;
            prop_assert_eq!(pattern(&name).matches(&image), same, "{} {}", name, changed);
        }
    }

    #[test]
    fn stars_mean_what_the_obvious_reading_says(text in widened(), registry in host(), path in path()) {
        let (host_pattern, parts) = text.split_once('/').unwrap();
        let parts: Vec<&str> = parts.split('/').collect();
        let words: Vec<&str> = path.split('/').collect();
        let plain = |host: &str| host.trim_end_matches(":443").to_owned();
        let same_host = match host_pattern.strip_prefix('*') {
            Some(end) => plain(&registry).ends_with(&plain(end)),
            None => plain(host_pattern) == plain(&registry),
        };
        let wanted = same_host && obvious(&parts, &words);
        prop_assert_eq!(pattern(&text).matches(&image(&format!("{registry}/{path}:1"))), wanted);
    }

    #[test]
    fn what_a_covered_pattern_matches_the_wider_one_does(wide in widened(), narrow in widened(), registry in host(), path in path()) {
        let (wide, narrow) = (pattern(&wide), pattern(&narrow));
        let image = image(&format!("{registry}/{path}:1"));
        prop_assert!(narrow.covers(&narrow));
        if wide.covers(&narrow) && narrow.matches(&image) {
            prop_assert!(wide.matches(&image), "{} {}", wide, narrow);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        let _ignored = Pattern::parse(&text).is_ok();
    }
}
