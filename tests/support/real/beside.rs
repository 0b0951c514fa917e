//! Other machines on a virtual one's network.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::VirtualMachine;
use super::vm::INSIDE;
use crate::gate::Gate;
use crate::wait::Journal;

const ADDRESS: &str = "ip address replace \"$1\" dev lo";
/// A machine that is emulated takes its time.
const PROMPTLY: Duration = Duration::from_secs(20);

/// Another machine, which answers a line to everybody.
pub struct Neighbour {
    _gate: Gate,
    heard: Journal<String>,
}

impl Neighbour {
    /// The first line of each connection.
    #[must_use]
    pub fn heard(&self) -> Vec<String> {
        self.heard.entries()
    }
}

impl VirtualMachine {
    /// Another machine with this address: to all who ask there it says `answer of ADDRESS`.
    #[must_use]
    pub fn neighbour(&self, address: IpAddr, port: u16) -> Neighbour {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        self.run_outside("neighbour", ADDRESS, &[format!("{address}/{bits}").as_ref()]);
        let heard = Journal::default();
        let journal: Journal<String> = heard.clone();
        let gate = Gate::at(self.network(), (address, port), move |mut stream| {
            let mut line = String::new();
            // Who hangs up, or asks nothing, was heard all the same.
            let asked = stream
                .set_read_timeout(Some(PROMPTLY))
                .and_then(|()| BufReader::new(&stream).read_line(&mut line));
            journal.push(line.trim_end().to_owned());
            drop(asked.and_then(|_| {
                stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\nanswer of {address}\n").as_bytes())
            }));
        });
        Neighbour { _gate: gate, heard }
    }

    /// What a port of the machine says to somebody outside who asks it for this; nothing where it does not answer.
    #[must_use]
    pub fn ask(&self, port: u16, question: &str) -> String {
        let mut said = String::new();
        let stream = self
            .network()
            .enter(|| TcpStream::connect_timeout(&SocketAddr::from((INSIDE, port)), PROMPTLY));
        let answer = stream.and_then(|mut stream| {
            stream.set_read_timeout(Some(PROMPTLY))?;
            stream.write_all(question.as_bytes())?;
            stream.shutdown(Shutdown::Write)?;
            stream.read_to_string(&mut said)
        });
        // What came before it was cut off counts.
        drop(answer);
        said
    }
}
