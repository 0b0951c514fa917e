//! What is answered to what: one match, from the record in memory.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use monopod_core::metrics;
use monopod_core::record::{self, Agent, Standing};
use monopod_core::text;

use super::figures;
use crate::report::Reporter;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

const PLACES: &str = "There is /health (200 while nothing is wrong), /ready (200 while it may be given work),\n\
                      /status (as `monopod status --json`) and /metrics (Prometheus).\n";

/// Whoever answers is an agent that runs.
const AGENT: Agent = Agent::Running;

pub(super) fn answer<B>(request: &Request<B>, reporter: &Reporter) -> Response<Full<Bytes>> {
    // HEAD is GET whose body hyper leaves out.
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = response(
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            "Nothing can be changed here: GET and HEAD.\n".to_owned(),
        );
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match request.uri().path() {
        "/health" => {
            let standing = reporter.snapshot().standing(AGENT);
            verdict(standing.healthy, "healthy", &standing)
        }
        "/ready" => {
            let standing = reporter.snapshot().standing(AGENT);
            verdict(standing.ready, "ready", &standing)
        }
        "/status" => response(StatusCode::OK, JSON, record::to_json(&reporter.snapshot(), AGENT)),
        "/metrics" => {
            let record = reporter.snapshot();
            let text = metrics::render(&figures::gather(
                &record,
                reporter.probe_figures().now(),
                reporter.notice_figures().now(),
            ));
            response(StatusCode::OK, metrics::CONTENT_TYPE, text)
        }
        _ => response(StatusCode::NOT_FOUND, TEXT, PLACES.to_owned()),
    }
}

fn verdict(good: bool, word: &str, standing: &Standing) -> Response<Full<Bytes>> {
    let status = match good {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let not = if good { "" } else { "not " };
    let reason = text::printable(&standing.reason.replace('\n', " | "));
    response(status, TEXT, format!("{not}{word}: {reason}\n"))
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // The next moment may say something else.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use monopod_core::event::Event;

    use super::*;
    use crate::report::SharedRedactor;
    use crate::report::output::Output;

    fn reporter(name: &str) -> Reporter {
        let path = std::env::temp_dir().join(format!("monopod-answer-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let redactor = SharedRedactor::default();
        Reporter::new(&path, redactor.clone(), Output::new(redactor))
    }

    fn ask(reporter: &Reporter, method: &str, path: &str) -> (u16, String, String) {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let answer = answer(&request, reporter);
        let status = answer.status().as_u16();
        let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = futures_util::FutureExt::now_or_never(answer.into_body().collect());
        let body = body.unwrap().unwrap().to_bytes();
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn each_place_has_its_answer() {
        let reporter = reporter("places");
        for (method, path, status, kind) in [
            ("GET", "/health", 503, TEXT),
            ("GET", "/ready", 503, TEXT),
            ("GET", "/status", 200, JSON),
            ("HEAD", "/status?pretty", 200, JSON),
            ("GET", "/metrics", 200, metrics::CONTENT_TYPE),
            ("GET", "/", 404, TEXT),
            ("GET", "/health/", 404, TEXT),
            ("POST", "/health", 405, TEXT),
            ("DELETE", "/nowhere", 405, TEXT),
        ] {
            let (got, kind_got, body) = ask(&reporter, method, path);
            assert_eq!(
                (got, kind_got.as_str()),
                (status, kind),
                "{method} {path}: {body}"
            );
            assert!(!body.is_empty());
        }
    }

    #[test]
    fn a_scrape_has_the_probes() {
        let reporter = reporter("probes");
        reporter
            .probe_figures()
            .answered(false, std::time::Duration::from_millis(250));
        let (_, _, body) = ask(&reporter, "GET", "/metrics");
        for line in [
            "monopod_probe_asked_total 1",
            "monopod_probe_failed_total 1",
            "monopod_probe_duration_seconds 0.25",
        ] {
            assert!(
                body.lines().any(|one| one == line),
                "{line} is missing in\n{body}"
            );
        }
    }

    #[test]
    fn the_reason_is_one_line() {
        let reporter = reporter("reason");
        let reason = "one\ntwo \u{1b}[31m".to_owned();
        reporter.tell(Event::Degraded { reason });
        let (status, _, body) = ask(&reporter, "GET", "/health");
        assert_eq!((status, body.as_str()), (503, "not healthy: one | two ·[31m\n"));
        reporter.tell(Event::Ready {
            text: "up".to_owned(),
        });
        let (status, _, body) = ask(&reporter, "GET", "/ready");
        assert_eq!((status, body.as_str()), (200, "ready: the container runs\n"));
    }
}
