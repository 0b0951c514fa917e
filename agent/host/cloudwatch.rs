//! Metrics in CloudWatch.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use monopod_core::lifecycle::usage::{Datum, NAMESPACE};

use super::aws::{self, AwsError};

/// CloudWatch in one region.
#[derive(Debug)]
pub struct CloudWatch {
    client: Client,
    service: String,
}

impl CloudWatch {
    /// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
    pub async fn new(region: &str) -> Self {
        Self {
            client: Client::new(&aws::config(region).await),
            service: format!("CloudWatch in {region}"),
        }
    }

    /// Writes these in one call. They have no time of ours, so CloudWatch takes its own: our clock may be wrong.
    pub async fn put(&self, data: &[Datum]) -> Result<(), AwsError> {
        let data: Vec<MetricDatum> = data.iter().map(datum).collect();
        let call = self.client.put_metric_data().namespace(NAMESPACE);
        let outcome = call.set_metric_data(Some(data)).send().await;
        outcome.map(drop).map_err(|error| {
            let subject = format!("metrics of {NAMESPACE}");
            AwsError::new(&self.service, &subject, error, advice)
        })
    }
}

fn datum(one: &Datum) -> MetricDatum {
    let dimension = |(name, value): &(&str, String)| Dimension::builder().name(*name).value(value).build();
    MetricDatum::builder()
        .metric_name(one.name)
        .unit(StandardUnit::Percent)
        .value(one.percent)
        .set_dimensions(Some(one.dimensions.iter().map(dimension).collect()))
        .build()
}

fn advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" => {
            "; grant the instance profile's role cloudwatch:PutMetricData (`monopod plan --iam` prints the whole policy)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_grant() {
        assert!(advice("AccessDenied").contains("cloudwatch:PutMetricData"));
        assert_eq!(advice("InvalidParameterValue"), "");
    }
}
