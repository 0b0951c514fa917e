//! An image for other machines is refused by name, before its container fails.

use monopod_testrig::{Image, Machine};

use super::SCRIPT;
use crate::common::*;

fn foreign(name: &str) -> Image {
    let other = if cfg!(target_arch = "x86_64") {
        "arm64"
    } else {
        "amd64"
    };
    Image::new(name, SCRIPT).architecture(other)
}

fn names_both(error: &str) -> bool {
    error.contains("linux/arm64") && error.contains("linux/amd64") && error.contains("build the image for")
}

#[test]
fn an_image_for_another_processor_is_refused_before_a_byte_is_loaded() {
    let machine = Machine::acquire();
    let source = machine.registry().push(&foreign("foreign").random_layer(2 << 20));
    UserData::of(&machine, &source).serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    let error = error_line(&agent);
    assert!(names_both(&error) && error.contains(&source), "{error}");
    assert_eq!(machine.docker_ok(&["images", "-q"]), "");
    assert!(machine.registry().line().carried() < 1 << 20);
}

#[test]
fn one_that_is_named_by_its_digest_is_refused_too() {
    let machine = Machine::acquire();
    let source = machine.registry().push(&foreign("foreign-digest"));
    let name = source.rsplit_once(':').unwrap().0;
    let pinned = format!("{name}@{}", machine.registry().digest(&source));
    UserData::of(&machine, &pinned).serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    assert!(names_both(&error_line(&agent)));
    assert_eq!(machine.containers().len(), 0);
}

#[test]
fn one_that_is_here_already_is_refused_without_a_registry() {
    let machine = Machine::acquire();
    let source = machine.registry().push(&foreign("foreign-here"));
    let name = source.rsplit_once(':').unwrap().0;
    let pinned = format!("{name}@{}", machine.registry().digest(&source));
    machine.log_in();
    machine.docker_ok(&["pull", &pinned]);
    machine.registry().line().down();
    UserData::of(&machine, &pinned).serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    assert!(names_both(&error_line(&agent)));
    assert_eq!(machine.containers().len(), 0);
}
