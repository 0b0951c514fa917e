//! Who is asked with which login.

use super::*;

/// A registry that wants a token of its server, both on one port.
fn dance(host: &str, life: u64) -> impl Fn(&Asked) -> Reply + use<> {
    let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"registry\",scope=\"ignored\"");
    let issued = Mutex::new(0);
    move |asked| {
        let mut issued = issued.lock().unwrap();
        if asked.path.starts_with("/token") {
            if asked.authorization.as_deref() != Some(BASIC) {
                return reply(401);
            }
            *issued += 1;
            return reply(200).body(json!({"token": format!("t{issued}"), "expires_in": life}).to_string());
        }
        // Only the newest is good.
        match asked.authorization.as_deref() {
            Some(sent) if sent == format!("Bearer t{issued}") => manifest(),
            _ => reply(401).with("WWW-Authenticate", challenge.clone()),
        }
    }
}

#[tokio::test]
async fn user_and_password_when_they_are_asked_for() {
    let server = Server::start(|_| {
        |asked: &Asked| match asked.authorization.as_deref() {
            Some(BASIC) => manifest(),
            _ => reply(401).with("WWW-Authenticate", "Basic realm=\"x\""),
        }
    })
    .await;
    let registry = server.registry(true);
    registry.manifest("a", "1").await.unwrap();
    registry.manifest("b", "1").await.unwrap();
    let sent: Vec<_> = server.asked().into_iter().map(|(_, sent)| sent).collect();
    // The second one needs no question.
    assert_eq!(sent, [None, Some(BASIC.to_owned()), Some(BASIC.to_owned())]);
}

#[tokio::test]
async fn a_token_is_fetched_once_and_goes_where_it_belongs() {
    let server = Server::start(|host| dance(host, 300)).await;
    let registry = server.registry(true);
    registry.manifest("a/b", "1").await.unwrap();
    registry.manifest("a/b", "2").await.unwrap();
    let asked = server.asked();
    assert_eq!(
        asked[1],
        (
            "/token?service=registry&scope=repository%3Aa%2Fb%3Apull".to_owned(),
            Some(BASIC.to_owned())
        )
    );
    let sent: Vec<_> = asked.iter().map(|(_, sent)| sent.as_deref()).collect();
    assert_eq!(sent, [None, Some(BASIC), Some("Bearer t1"), Some("Bearer t1")]);
}

#[tokio::test]
async fn a_token_that_has_ended_is_fetched_anew() {
    let server = Server::start(|host| dance(host, 5)).await;
    let registry = server.registry(true);
    registry.manifest("a", "1").await.unwrap();
    registry.manifest("a", "1").await.unwrap();
    let sent: Vec<_> = server.asked().into_iter().filter_map(|(_, sent)| sent).collect();
    assert_eq!(sent, [BASIC, "Bearer t1", BASIC, "Bearer t2"]);
}

#[tokio::test]
async fn a_token_that_the_registry_forgot_is_fetched_once_more_and_not_forever() {
    let server = Server::start(|host| {
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        move |asked: &Asked| {
            if asked.path.starts_with("/token") {
                reply(200).body("{\"access_token\": \"t\"}")
            } else {
                reply(401).with("WWW-Authenticate", challenge.clone())
            }
        }
    })
    .await;
    let error = server.registry(false).manifest("a", "1").await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Unauthorized { login: None, .. }),
        "{error}"
    );
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_login_is_for_its_own_registry() {
    let credentials = Credentials {
        registry: "a.example.org".to_owned(),
        user: "user".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        origin: "the login of `dockercfg`".to_owned(),
    };
    let registry = Registry::new("b.example.org", Some(&credentials), &nowhere()).unwrap();
    assert_eq!(registry.logins.origin(), None);
    assert!(!format!("{registry:?} {credentials:?}").contains(PASSWORD));
}
