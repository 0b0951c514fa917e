//! What is made of a registry's answers.

use monopod_core::trust;

use super::*;

#[tokio::test]
async fn a_manifest_by_tag_with_what_is_said_about_it() {
    let server = Server::start(|_| {
        |_: &Asked| {
            manifest()
                .with("X-Production-Ready-Taupage", "true")
                .with("X-Production-Ready-Reason", "reviewed")
        }
    })
    .await;
    let manifest = server.registry(false).manifest("team/app", "1.0").await.unwrap();
    assert_eq!(manifest.digest, digest(image().to_string().as_bytes()));
    assert_eq!(manifest.trust.production_ready, ["true"]);
    assert_eq!(manifest.trust.reason, ["reviewed"]);
    assert!(manifest.trust.trusted.is_empty());
    assert!(matches!(manifest.content, Content::Single { .. }));
    assert_eq!(server.asked(), [("/v2/team/app/manifests/1.0".to_owned(), None)]);
}

#[tokio::test]
async fn a_header_that_stands_twice_is_read_twice() {
    let server =
        Server::start(|_| |_: &Asked| manifest().with("X-Trusted", "true").with("X-Trusted", "false")).await;
    let manifest = server.registry(false).manifest("team/app", "1.0").await.unwrap();
    assert_eq!(manifest.trust.trusted, ["true", "false"]);
}

#[tokio::test]
async fn other_bytes_than_the_digest_says_are_refused() {
    let server = Server::start(|_| |_: &Asked| manifest()).await;
    let registry = server.registry(false);
    let wrong = digest(b"other");
    let error = registry.manifest("a", &wrong).await.unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error}");
    let error = registry.blob("a", &wrong, 4096).await.unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error}");
    let right = digest(image().to_string().as_bytes());
    assert_eq!(registry.manifest("a", &right).await.unwrap().digest, right);
    for algorithm in ["sha384:", "sha512:"] {
        let right = digest_as(algorithm, image().to_string().as_bytes());
        assert!(
            trust::has_digest(image().to_string().as_bytes(), &right),
            "{right}"
        );
        assert_eq!(registry.manifest("a", &right).await.unwrap().digest, right);
        let error = registry
            .manifest("a", &digest_as(algorithm, b"other"))
            .await
            .unwrap_err();
        assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error}");
        let all = image().to_string();
        assert!(registry.blob("a", &right, 4096).await.unwrap() == all.as_bytes());
    }
}

#[tokio::test]
async fn nothing_is_read_beyond_its_limit() {
    let server = Server::start(|_| |_: &Asked| reply(200).body(vec![b'x'; 100])).await;
    let error = server
        .registry(false)
        .blob("a", &digest(b"x"), 99)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::TooLarge { limit: 99, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_not_waited_for() {
    let server = Server::start(|_| |_: &Asked| reply(200).with("Content-Length", "100").body("x")).await;
    let error = server
        .registry(false)
        .blob("a", &digest(b"x"), 200)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
    assert_eq!(error.class(), Class::Transient);
}

#[tokio::test]
async fn a_registry_that_says_nothing_is_not_waited_for() {
    // Connections are taken by the kernel; nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options {
        patience: Duration::from_millis(100),
        ..nowhere()
    };
    let host = silent.local_addr().unwrap().to_string();
    let registry = Registry::new(&host, None, &options).unwrap();
    let error = registry.manifest("a", "1").await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
    assert_eq!(error.class(), Class::Transient);
}

/// Every refusal, as people read it.
#[tokio::test]
async fn refusals_as_people_read_them() {
    let server = Server::start(|host| {
        let challenge = format!("Bearer realm=\"http://{host}/token/denied\"");
        move |asked: &Asked| {
            let denied = json!({"errors": [{"code": "DENIED", "message": "not\tyours"}]}).to_string();
            match asked.path.rsplit('/').next().unwrap_or_default() {
                "gone" => reply(404),
                "basic" => reply(401).with("WWW-Authenticate", "Basic"),
                "bearer" => reply(401).with("WWW-Authenticate", challenge.clone()),
                "forbidden" => reply(403).body(denied),
                "often" => reply(429).with("Retry-After", "17"),
                "busy" => reply(503),
                "odd" => reply(418).body(denied),
                "old" => reply(200).body("{\"schemaVersion\": 1}"),
                "open" => reply(302).with("Location", "http://mirror.example.org/x?signature=secret"),
                "loop" => reply(302).with("Location", asked.path.clone()),
                digest if digest.starts_with("sha256:") => reply(200).body("other"),
                "html" => reply(200).with("Content-Type", "text/html").body("<html>"),
                _ => reply(401),
            }
        }
    })
    .await;
    let mut told = String::new();
    for (login, references) in [
        (
            false,
            &[
                "gone",
                "basic",
                "bearer",
                "forbidden",
                "often",
                "busy",
                "odd",
                "old",
                "html",
            ][..],
        ),
        (true, &["basic", "bearer", "forbidden"][..]),
    ] {
        for reference in references {
            let error = server
                .registry(login)
                .manifest("team/app", reference)
                .await
                .unwrap_err();
            told.push_str(&format!("{:?}: {}\n", error.class(), chain(&error)));
        }
    }
    let registry = server.registry(true);
    let mut tell = |error: RegistryError| told.push_str(&format!("{:?}: {}\n", error.class(), chain(&error)));
    for reference in ["open", "loop"] {
        tell(registry.manifest("team/app", reference).await.unwrap_err());
    }
    let nothing = format!("sha256:{}", "0".repeat(64));
    for limit in [1, 100] {
        tell(registry.blob("team/app", &nothing, limit).await.unwrap_err());
    }
    for host in ["registry.example.org/team", ""] {
        tell(Registry::new(host, None, &nowhere()).unwrap_err());
    }
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let gone = Registry::new(&free.to_string(), None, &nowhere()).unwrap();
    let error = gone.manifest("team/app", "1").await.unwrap_err();
    tell(error);
    let told = told.replace(&free.to_string(), "GONE");
    assert!(!told.contains(PASSWORD) && !told.contains("dXNlcj"), "{told}");
    let told = told.replace(&server.host, "HOST");
    expect_test::expect_file!["../../../../tests/golden/registry.txt"].assert_eq(&told);
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let folder = std::env::temp_dir().join(format!("monopod-certificates-{}", std::process::id()));
    let own = folder.join("registry.example.org:5000");
    std::fs::create_dir_all(&own).unwrap();
    let options = Options {
        certificates: folder.clone(),
        ..Options::default()
    };
    let error = |file: &str| {
        std::fs::write(own.join(file), "nothing").unwrap();
        let error = Registry::new("registry.example.org:5000", None, &options).unwrap_err();
        std::fs::remove_file(own.join(file)).unwrap();
        assert_eq!(error.class(), Class::Permanent);
        error.to_string()
    };
    let text = error("ca.crt");
    assert!(text.contains("ca.crt") && text.contains("PEM"), "{text}");
    let text = error("client.cert");
    assert!(
        text.contains("client.cert") && text.contains("dockercfg"),
        "{text}"
    );
    // A name that would be a path elsewhere never becomes one.
    std::fs::write(own.join("ca.crt"), "nothing").unwrap();
    std::fs::create_dir(folder.join("certs.d")).unwrap();
    let inner = Options {
        certificates: folder.join("certs.d"),
        ..Options::default()
    };
    assert!(matches!(
        Registry::new("../registry.example.org:5000", None, &inner).unwrap_err(),
        RegistryError::Host { .. }
    ));
    std::fs::remove_dir_all(folder).unwrap();
}
