//! Users come from Senza: what the real one renders from a definition is validated, planned and booted.
//!
//! Senza runs in a machine's network, so it reaches nothing but the AWS stand-in. What CloudFormation does between Senza
//! and the instance, to fill in the references and joins of the user data, is done here.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Once;

use monopod_testrig::{Machine, REGISTRY};
use serde_json::{Value, json};

use crate::common::*;

const REGION: &str = "eu-central-1";
const PASSWORD: &str = "canary-senza-password";

/// A machine that holds a rendered stack: `template.json`, and the `user-data.yaml` its instances get.
struct Rendered {
    machine: Machine,
    user_data: String,
}

impl Rendered {
    /// Renders the definition, with what `change` makes of its text.
    fn new(change: impl FnOnce(&str) -> String) -> Self {
        let machine = Machine::acquire();
        let definition = std::fs::read_to_string(repository("tests/senza/definition.yaml")).unwrap();
        let base = &machine.dirs().base;
        std::fs::write(base.join("definition.yaml"), change(&definition)).unwrap();
        let template = print(&machine);
        let user_data = user_data(&serde_json::from_str(&template).unwrap());
        std::fs::write(base.join("template.json"), template).unwrap();
        std::fs::write(base.join("user-data.yaml"), &user_data).unwrap();
        Self { machine, user_data }
    }

    /// `monopod COMMAND FILE`: its exit code, and all it says.
    fn monopod(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(binary())
            .args(args)
            .current_dir(&self.machine.dirs().base)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }
}

/// The CloudFormation template of the machine's `definition.yaml`.
fn print(machine: &Machine) -> String {
    // One account for all machines, as the stand-in has it.
    static ACCOUNT: Once = Once::new();
    ACCOUNT.call_once(|| {
        let script = repository("tests/senza/account.py").display().to_string();
        succeeded(
            &python(machine, &tool("python"), &[&script, REGION]),
            "preparing the account",
        );
    });

    let dockercfg = machine.registry().dockercfg();
    let auth = format!("RegistryAuth={}", dockercfg[REGISTRY]["auth"].as_str().unwrap());
    let password = format!("DatabasePassword={}", machine.aws().encrypt(PASSWORD));
    let args = [
        "print",
        // Without it Senza asks the registry, over https, whether the image exists.
        "--force",
        "--region",
        REGION,
        "definition.yaml",
        "v1",
        "ImageVersion=1",
        &auth,
        &password,
    ];
    let output = python(machine, &tool("senza"), &args);
    succeeded(&output, "senza print");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a program of Python's as its users do: with a region and a home of their own.
fn python(machine: &Machine, program: &Path, args: &[&str]) -> Output {
    machine
        .monopod(program, args)
        .env("HOME", &machine.dirs().base)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(&machine.dirs().base)
        .output()
        .unwrap()
}

fn succeeded(output: &Output, what: &str) {
    assert!(
        output.status.success(),
        "{what}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The user data an instance of the stack gets.
fn user_data(template: &Value) -> String {
    let launch = &template["Resources"]["AppServerConfig"];
    assert_eq!(launch["Type"], "AWS::AutoScaling::LaunchConfiguration");
    // What Senza asked the account for is what the account has: it is the real one that ran, against the stand-in.
    let images = &template["Mappings"]["Images"][REGION];
    assert_eq!(images["LatestTaupageImage"], "ami-7a09a9e0000000001");
    let groups = &launch["Properties"]["SecurityGroups"];
    assert!(groups[0].as_str().unwrap().starts_with("sg-"), "{groups}");
    resolve(&launch["Properties"]["UserData"])
}

/// A value as CloudFormation fills it in; fails on a function Senza doesn't write.
fn resolve(value: &Value) -> String {
    let references = BTreeMap::from([
        ("AWS::AccountId", "123456789012"),
        ("AWS::Region", REGION),
        ("AWS::StackName", "hello-v1"),
        ("Bucket", "hello-v1-bucket-1a2b3c"),
    ]);
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    let (function, argument) = value
        .as_object()
        .filter(|map| map.len() == 1)
        .and_then(|map| map.iter().next())
        .unwrap_or_else(|| panic!("neither a text nor a function: {value}"));
    match function.as_str() {
        // The instance gets the bytes: coding and decoding cancel out.
        "Fn::Base64" => resolve(argument),
        "Fn::Join" => {
            let parts: Vec<String> = argument[1].as_array().unwrap().iter().map(resolve).collect();
            parts.join(argument[0].as_str().unwrap())
        }
        "Ref" => references[argument.as_str().unwrap()].to_owned(),
        other => panic!("the function {other} is new here"),
    }
}

/// The variables of the definition as Taupage passed them on: what YAML 1.1 reads, as Python spells it.
const ENVIRONMENT: &[&str] = &[
    "ACCOUNT=123456789012",
    "BUCKET=hello-v1-bucket-1a2b3c",
    "CUTOFF=1350",
    "DEBUG=False",
    "GREETING=salt &amp; pepper",
    r#"JSON={"a": [1, "b & c"], "d": "<e>"}"#,
    "JVM_OPTS=-Xmx512m -Dname=a=b #none",
    "LINES=first\n\nthird: yes\n",
    "NOTHING=None",
    "PADDED=0042",
    r#"QUOTES=it's "so""#,
    "RATIO=0.5",
    "REGION=eu-central-1",
    "RELEASED=2024-02-29",
    "SHARD=hello-v1-a-eu-central-1",
    "TEAM_DOMAIN=team.example.org",
    "UMASK_DIRS=493",
    "UMLAUT=grüß dich",
    "VERBOSE=True",
    "VERSION=1",
    "WORD_NO=no",
    "WORKERS=4",
    "APPLICATION_ID=hello",
    "APPLICATION_VERSION=1",
    "CREDENTIALS_DIR=/meta/credentials",
];

#[test]
fn what_senza_renders_is_valid_is_planned_and_boots() {
    let stack = Rendered::new(str::to_owned);
    let (code, said) = stack.monopod(&["validate", "--strict", "user-data.yaml"]);
    assert_eq!(code, Some(0), "{said}\n{}", stack.user_data);
    let (code, said) = stack.monopod(&["validate", "template.json"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("UserData can be used: 0 errors"), "{said}");
    let (code, plan) = stack.monopod(&["plan", "user-data.yaml"]);
    assert_eq!(code, Some(0), "{plan}");
    assert!(
        plan.contains("DATABASE_PASSWORD=<kms ") && plan.contains("9100 -> 9100/udp"),
        "{plan}"
    );

    let machine = &stack.machine;
    machine.set_user_data(&stack.user_data);
    let agent = run_until_ready(machine);
    let container = the_container(machine);
    assert!(is_running(&container));
    assert_eq!(machine.http_get(8080, "/health").unwrap().status, 200);
    let mut environment: Vec<&str> = container["Config"]["Env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| pair.as_str().unwrap())
        // The image's own, and what the machine says of itself.
        .filter(|pair| !pair.starts_with("PATH=") && !pair.starts_with("OTEL_RESOURCE_ATTRIBUTES="))
        .collect();
    let password = format!("DATABASE_PASSWORD={PASSWORD}");
    let mut wanted = [ENVIRONMENT, &[password.as_str()]].concat();
    environment.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(environment, wanted);
    assert_eq!(
        status(machine)["application"],
        json!({"id": "hello", "version": "1"})
    );
    assert!(!everything_told(machine, &agent).contains(PASSWORD));
}

#[test]
fn what_senza_adds_by_itself_is_planned() {
    let stack = Rendered::new(|definition| {
        let without = definition.replace("        notify_cfn:\n", "");
        assert_ne!(without, definition, "the definition says that it wants none");
        without
    });
    let added = "notify_cfn:\n  resource: AppServer\n  stack: hello-v1\n";
    assert!(stack.user_data.contains(added), "{}", stack.user_data);
    let (code, said) = stack.monopod(&["validate", "user-data.yaml"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = stack.monopod(&["plan", "user-data.yaml"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("tell CloudFormation SUCCESS for AppServer in the stack hello-v1"),
        "{said}"
    );
}
