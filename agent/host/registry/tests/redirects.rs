//! Where a registry sends us, and by way of whom we ask.

use super::*;

#[tokio::test]
async fn a_redirect_elsewhere_takes_no_login_along() {
    let store = Server::start(|_| |_: &Asked| reply(200).body("blob").with("X-Trusted", "true")).await;
    let elsewhere = store.host.clone();
    let server = Server::start(|host| {
        let here = host.to_owned();
        move |asked: &Asked| match (asked.authorization.as_deref(), asked.path.as_str()) {
            (None, _) => reply(401).with("WWW-Authenticate", "Basic"),
            (_, "/v2/a/blobs/near") => reply(200).body("blob"),
            // Once within, once without: the login stays, and then it is gone.
            (_, path) if path.starts_with("/v2/") => {
                reply(307).with("Location", format!("http://{here}/moved"))
            }
            _ => reply(302).with("Location", format!("http://{elsewhere}/store?signature=x")),
        }
    })
    .await;
    let bytes = server
        .registry(true)
        .blob("a", &digest(b"blob"), 10)
        .await
        .unwrap();
    assert_eq!(bytes, b"blob");
    assert_eq!(server.asked()[2], ("/moved".to_owned(), Some(BASIC.to_owned())));
    assert_eq!(store.asked(), [("/store?signature=x".to_owned(), None)]);
}

/// Nor does it come back when the redirects lead home again, and nobody but the registry may ask for it.
#[tokio::test]
async fn what_lies_elsewhere_neither_gets_the_login_nor_speaks_for_the_registry() {
    let store = Server::start(|_| {
        |asked: &Asked| {
            if asked.path.starts_with("/asks") {
                reply(401).with("WWW-Authenticate", "Basic")
            } else {
                manifest().with("X-Trusted", "true")
            }
        }
    })
    .await;
    let elsewhere = store.host.clone();
    let server = Server::start(|_| {
        move |asked: &Asked| {
            let to = if asked.path.ends_with("asks") {
                "asks"
            } else {
                "gives"
            };
            match asked.authorization {
                None => reply(401).with("WWW-Authenticate", "Basic"),
                Some(_) => reply(302).with("Location", format!("http://{elsewhere}/{to}")),
            }
        }
    })
    .await;
    let registry = server.registry(true);
    let error = registry.manifest("a", "asks").await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Refused { status: 401, .. }),
        "{error}"
    );
    let manifest = registry.manifest("a", "gives").await.unwrap();
    assert_eq!(manifest.trust, TrustHeaders::default());
    assert!(
        store.asked().iter().all(|(_, sent)| sent.is_none()),
        "{:?}",
        store.asked()
    );
}

/// Whom a registry redirects to names a token server of his own: our login is not for that one.
#[tokio::test]
async fn what_lies_elsewhere_asks_for_the_login_in_vain() {
    let store = Server::start(|host| {
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        move |_: &Asked| reply(401).with("WWW-Authenticate", challenge.clone())
    })
    .await;
    let elsewhere = store.host.clone();
    let server =
        Server::start(|_| move |_: &Asked| reply(302).with("Location", format!("http://{elsewhere}/x")))
            .await;
    let error = server.registry(true).manifest("a", "1").await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Refused { status: 401, .. }),
        "{error}"
    );
    assert_eq!(store.asked(), [("/x".to_owned(), None)]);
}

#[tokio::test]
async fn redirects_end_and_lead_to_no_unsafe_place() {
    let server = Server::start(|_| {
        |asked: &Asked| match asked.path.rsplit('/').next().unwrap_or_default() {
            "loop" => reply(302).with("Location", asked.path.clone()),
            "open" => reply(302).with("Location", "http://registry.example.org/x?secret=1"),
            _ => reply(302).with("Location", "http://169.254.169.254/latest"),
        }
    })
    .await;
    let registry = server.registry(false);
    let error = registry.manifest("a", "loop").await.unwrap_err();
    assert!(error.to_string().ends_with("more than five times"), "{error}");
    assert_eq!(server.asked().len(), 6);
    for reference in ["open", "metadata"] {
        let error = registry.manifest("a", reference).await.unwrap_err();
        assert!(matches!(error, RegistryError::Unsafe { .. }), "{error}");
        assert!(!chain(&error).contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_token_server_without_tls_gets_no_login() {
    let server = Server::start(|_| {
        |_: &Asked| reply(401).with("WWW-Authenticate", "Bearer realm=\"http://token.example.org/t\"")
    })
    .await;
    let error = server.registry(true).manifest("a", "1").await.unwrap_err();
    assert_eq!(error.class(), Class::Permanent);
    let text = error.to_string();
    assert!(
        text.contains("http://token.example.org") && text.contains("not https"),
        "{text}"
    );
}

#[tokio::test]
async fn proxies_are_for_others_only() {
    let proxy = Server::start(|_| |_: &Asked| reply(502)).await;
    let near = Server::start(|_| |_: &Asked| manifest()).await;
    // In a process of its own: what the environment says holds for all of one.
    let ask = async |host: &str| {
        let (url, host) = (format!("http://{}", proxy.host), host.to_owned());
        let child = move || {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "host::registry::tests::redirects::ask_one",
                    "--ignored",
                ])
                .envs([("HTTPS_PROXY", &url), ("HTTP_PROXY", &url), ("ASK", &host)])
                .env_remove("NO_PROXY")
                .env_remove("no_proxy")
                .output()
                .unwrap()
        };
        let output = tokio::task::spawn_blocking(child).await.unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    ask(&near.host).await;
    assert_eq!((proxy.asked().len(), near.asked().len()), (0, 1));
    ask("registry.example.org").await;
    let asked: Vec<String> = proxy.asked().into_iter().map(|(path, _)| path).collect();
    assert_eq!(asked, ["registry.example.org:443"]);
}

#[tokio::test]
#[ignore = "a part of the test above, in a process of its own"]
async fn ask_one() {
    let host = std::env::var("ASK").unwrap();
    let registry = Registry::new(&host, None, &nowhere()).unwrap();
    drop(registry.manifest("a", "1").await);
}
