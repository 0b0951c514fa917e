use std::cell::Cell;
use std::fs;

use monopod_core::plan::container::ENGINE_SOCKET;

use super::*;
use crate::context::{Directories, LogTargets, Sources};
use crate::host::docker::Engine;
use crate::report::output::Output;
use crate::report::{Reporter, SharedRedactor};

#[tokio::test]
async fn an_engine_that_makes_its_socket_anew_is_waited_for() {
    let place = std::env::temp_dir().join(format!("monopod-container-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let socket = place.join("engine.sock");
    let redactor = SharedRedactor::default();
    let context = Context::new(
        Engine::new(Some(&format!("unix://{}", socket.display()))).unwrap(),
        Reporter::new(&place, redactor.clone(), Output::new(redactor)),
        Directories {
            runtime: place.clone(),
            state: place.clone(),
            configuration: place.clone(),
            access: place.clone(),
            units: place.clone(),
        },
        Sources::default(),
        LogTargets {
            directory: std::env::temp_dir(),
            application_log: None,
            syslog_socket: None,
        },
    );
    let looks = Cell::new(0);
    let look = || {
        let seen = surroundings::ensure_binds(&[ENGINE_SOCKET], context.engine.socket());
        looks.set(looks.get() + 1);
        // The engine is back by the next time.
        fs::write(&socket, "").unwrap();
        seen
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    observe(&context, look, deadline).await.unwrap();
    assert_eq!(looks.get(), 2);
    fs::remove_dir_all(&place).unwrap();
}

#[test]
fn graphics_processors_are_told_of() {
    let text = |gpus| made_text("0123", &Begin::Running, gpus);
    assert_eq!(text(false), "0123 runs");
    assert_eq!(text(true), "0123 runs with the machine's graphics processors");
}
