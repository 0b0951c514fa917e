//! The AWS calls that shipping logs makes.

use crate::logs::{LogKey, Route, Target};
use crate::plan::{AwsCall, Plan, partition};

impl Plan {
    /// What shipping asks of AWS for as long as the machine lives, each kind once.
    pub(in crate::plan) fn log_calls(&self, calls: &mut Vec<AwsCall>) {
        let mut add = |action: &'static str, resource: String, times: usize, why: String| {
            let same = |call: &AwsCall| (call.action, &call.resource) == (action, &resource);
            match calls.iter_mut().find(|call| same(call)) {
                // The same place for another stream.
                Some(call) if call.why == why => {}
                Some(call) => {
                    call.times += times;
                    call.why.push_str(", ");
                    call.why.push_str(&why);
                }
                None => calls.push(AwsCall {
                    action,
                    resource,
                    times,
                    why,
                }),
            }
        };
        for Route { target, .. } in &self.logs.routes {
            match target {
                Target::CloudWatch { group } => {
                    // A group's streams are named by instances, which come and go.
                    let resource = format!("{}:log-group:{group}:*", self.arn("logs"));
                    for (action, why) in [
                        ("logs:CreateLogStream", "make a stream for each instance"),
                        ("logs:PutLogEvents", "write lines"),
                        (
                            "logs:CreateLogGroup",
                            "make the log group if it is not there; leave it out where it is",
                        ),
                    ] {
                        add(action, resource.clone(), 0, why.to_owned());
                    }
                }
                Target::S3(s3) => {
                    let here = self.facts.as_ref().map(|facts| facts.region.as_str());
                    let partition = partition(s3.region.as_deref().or(here).unwrap_or("*"));
                    let resource = format!(
                        "arn:{partition}:s3:::{}/taupage/{}/{}/*",
                        s3.bucket, self.application.id, self.application.version
                    );
                    add("s3:PutObject", resource.clone(), 0, "write lines".to_owned());
                    let acl = format!("give each object the ACL {}", s3.acl);
                    add("s3:PutObjectAcl", resource, 0, acl);
                }
                Target::Scalyr(scalyr) => self.key_call(&scalyr.key, "the key of Scalyr", &mut add),
                Target::Logentries { token } => self.key_call(token, "the token of Logentries", &mut add),
                // Headers of OTLP are those of metrics and traces, too: see the extras.
                Target::Rsyslog(_) | Target::Otlp(_) => {}
            }
        }
    }

    /// A key is fetched when lines are shipped, after the container runs; so it is in no step.
    fn key_call(&self, key: &LogKey, what: &str, add: &mut impl FnMut(&'static str, String, usize, String)) {
        if let LogKey::Stored(reference) = key {
            let (action, resource, verb) = self.access(&reference.source);
            add(action, resource, 1, format!("{verb} {what}"));
        }
    }
}
