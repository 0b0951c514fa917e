//! CloudFormation's functions, and what is wrong with the template around them.

use super::*;

#[test]
fn every_way_to_write_a_function() {
    let block = indented(&data("\"${Version}\"", "hostnam: x"), 12);
    for (head, line) in [
        ("\n        Fn::Base64:\n          Fn::Sub: |", 16),
        ("\n        Fn::Base64: !Sub |-", 15),
        ("\n        Fn::Base64: !Sub\n          - |", 16),
        (" !Base64\n          Fn::Sub: |", 15),
    ] {
        let tail = if head.contains("- |") {
            "\n          - {Other: x}"
        } else {
            ""
        };
        assert_eq!(
            only(&stack(&format!("{head}{block}{tail}"))),
            (Code::UnknownKey, Place::new(line, 13)),
            "{head}"
        );
    }
    let lines: String = data("!Ref V", "hostnam: x")
        .lines()
        .map(|line| format!("\n            - {line:?}"))
        .collect();
    for join in [
        "!Join\n          - \"\\n\"\n          -",
        "\n          Fn::Join:\n          - \"\\n\"\n          -",
    ] {
        let text = stack(&format!(
            "\n        Fn::Base64: {join}{}",
            lines.replace("!Ref V", "1")
        ));
        assert_eq!(
            only(&text),
            (Code::UnknownKey, Place::new(text.lines().count(), 16)),
            "{text}"
        );
    }
}

#[test]
fn holes_are_passed_over_wherever_they_stand() {
    for value in [
        "${Version}",
        "'1.${Version}'",
        "\"${AWS::StackName}-${App.PrivateIp}\"",
        "[not, text] # ${Version}",
    ] {
        let text = stack(&format!(
            "\n        Fn::Base64: !Sub |{}",
            indented(&data(value, ""), 10)
        ));
        let template = read(&text);
        assert_eq!(
            template.has_errors(),
            value.starts_with('['),
            "{value} {template:?}"
        );
    }
    for function in [
        "!Ref Version",
        "!GetAtt App.PrivateIp",
        "!ImportValue x",
        "!Select [0, !GetAZs '']",
        "!FindInMap [A, !Ref Version, C]",
        "{\"Fn::Split\": [a, b]}",
        "!Join ['-', !Split [a, b]]",
        "!Sub [\"${A}\", {A: !Ref Version}]",
        "\"'{{resolve:ssm:version}}'\"",
        "!Sub \"'{{resolve:ssm:${Version}}}'\"",
    ] {
        let text = stack(&format!(
            "\n        Fn::Base64: !Join\n          - ''\n          - - \"#taupage-ami-config\\napplication_id: app\\nsource: r.example.org/t/a:1\\napplication_version: \"\n            - {function}\n            - \"\\nroot: 'no'\\n\""
        ));
        assert_eq!(only(&text), (Code::WrongType, Place::new(14, 24)), "{function}");
    }
}

#[test]
fn a_value_in_the_map_of_sub_is_checked_there() {
    let text = stack(&format!(
        "\n        Fn::Base64: !Sub\n          - |{}\n          - Root: \"'no'\"\n            Zone: !Ref Version",
        indented(&data("1", "root: ${Root}\nhostname: ${Zone}\n"), 12)
    ));
    assert_eq!(only(&text), (Code::WrongType, Place::new(18, 20)), "{text}");
    let text = stack(&format!(
        "\n        Fn::Base64: !Sub |{}",
        indented(&data("1", "environment: {A: '${!NotAName} ${!B}'}\nroot: x"), 12)
    ));
    assert_eq!(only(&text).0, Code::WrongType);
}

#[test]
fn both_branches_of_a_condition_are_checked() {
    let branch = |tail: &str| format!("{:?}", data("1", tail));
    let text = stack(&format!(
        "\n        Fn::If:\n          - Prod\n          - Fn::Base64: {}\n          - Fn::Base64: {}",
        branch("root: 'a'"),
        branch("privileged: 'b'")
    ));
    let template = read(&text);
    let lines: Vec<usize> = template
        .all_problems()
        .map(|problem| problem.place.unwrap().line)
        .collect();
    assert_eq!((lines, template.found.len()), (vec![12, 13], 1));

    let text = stack(&format!(
        "\n        Fn::Base64: !Join\n          - ''\n          - - {}\n            - !If [Prod, \"root: 'a'\\n\", !Ref AWS::NoValue]\n            - !If [A, !If [B, 'hostnam: x', 'hostna: x'], '']",
        branch("")
    ));
    let template = read(&text);
    let codes: Vec<Code> = template.all_problems().map(|problem| problem.code).collect();
    assert_eq!(
        codes,
        [Code::WrongType, Code::UnknownKey, Code::UnknownKey],
        "{template:?}"
    );
    let many: String = (0..6)
        .map(|n| {
            format!("\n            - !If [C{n}, \"a{n}: 1\\n\", !If [D{n}, \"b{n}: 1\\n\", \"c{n}: 1\\n\"]]")
        })
        .collect();
    let text = stack(&format!(
        "\n        Fn::Base64: !Join\n          - ''\n          - - {}{many}",
        branch("")
    ));
    assert_eq!(read(&text).all_problems().count(), 18);
}

#[test]
fn no_value_leaves_no_gap_in_a_list() {
    clean(&stack(&format!(
        "\n        Fn::Base64: !Join\n          - ''\n          - - {:?}\n            - 'capabilities_add: ['\n            - !Join [', ', [!Ref AWS::NoValue, CHOWN, !If [A, !Ref AWS::NoValue, KILL], FOWNER]]\n            - ']'",
        data("1", "")
    )));
}

#[test]
fn a_hole_where_lines_would_stand_is_a_warning() {
    let text = stack(&format!(
        "\n        Fn::Base64: !Sub |{}",
        indented(&data("1", "environment:\n  A: x\n  ${Version}\nroot: 'x'\n"), 12)
    ));
    let template = read(&text);
    let found: Vec<(Code, usize)> = template
        .all_problems()
        .map(|problem| (problem.code, problem.place.unwrap().line))
        .collect();
    assert_eq!(found, [(Code::LinesFilledIn, 17), (Code::WrongType, 18)]);
    let text = stack(
        "\n        Fn::Base64: !Sub |\n          ${Version}\n          application_id: app\n          root: 'x'\n",
    );
    let codes: Vec<Code> = read(&text).all_problems().map(|problem| problem.code).collect();
    assert_eq!(
        codes,
        [Code::LinesFilledIn, Code::WrongType],
        "source may be among the lines"
    );
}

#[test]
fn problems_of_the_template_itself() {
    for (value, code) in [
        (" !Ref Version", Code::NotInTemplate),
        ("\n        Fn::Base64: !Ref Version", Code::NotInTemplate),
        (" IyEvYmluL3NoCg==", Code::NoUserData),
        (
            "\n        Fn::Base64: |\n          #!/bin/sh\n          echo ${Nobody}",
            Code::NoUserData,
        ),
        ("\n        Fn::Base64: {a: 1, b: 2}", Code::TemplateShape),
        ("\n        Fn::Base64: !Join [x]", Code::TemplateShape),
    ] {
        let template = read(&stack(value));
        assert_eq!(template.problems[0].code, code, "{value} {template:?}");
    }
    let block = |text: &str| format!("\n        Fn::Base64: !Sub |{}", indented(text, 10));
    let (code, place) = only(&stack(&block(&data("${Versoin}", ""))));
    assert_eq!((code, place), (Code::UnknownName, Place::new(13, 32)));
    assert_eq!(only(&stack(&block(&data("${Zones}", "")))).0, Code::TemplateShape);
    assert_eq!(
        only(&stack(&block(&data("1", "#Taupage-AMI-Config\n")))),
        (Code::SecondHeader, Place::new(15, 11))
    );
    let text = stack(&format!(" |{}", indented(&data("1", ""), 10)));
    assert_eq!(only(&text).0, Code::NotBase64);
    let nothing = read("Resources:\n  A: {Type: AWS::S3::Bucket}\n");
    assert_eq!(nothing.problems[0].code, Code::NoUserData);
}

#[test]
fn base64_in_the_template_is_decoded() {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(data("1", "root: 'x'"));
    let template = read(&stack(&format!(" {encoded}")));
    let problem = template.all_problems().next().unwrap();
    assert_eq!(
        (problem.code, problem.place),
        (Code::WrongType, Some(Place::new(9, 17)))
    );
    assert!(
        problem.message.ends_with("(line 5 of the decoded user data)"),
        "{problem:?}"
    );
}
