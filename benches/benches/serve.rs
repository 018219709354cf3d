//! Requests to the five models of `servers`, for a file of 1 KiB, over loopback: 64 at once on
//! connections that are kept (`keep_alive`), and 64 at once with a connection for each (`close`).
//!
//! Measured: from the first request to the last answer. All are asked by one thread of this
//! process, which waits for all its connections at once; the server is a process of its own, and
//! has all cores but the client's. So what the client needs is in the figure only where it is the
//! slower one. By processes there are as many as connections. Each answer's status and body are
//! asserted. Left out: networks, large files, more connections (the curves), TLS.

mod web;

use criterion::{Criterion, Throughput};
use servers::Model;
use web::{Client, Server, timed};

/// At the same time.
const CONNECTIONS: usize = 64;

fn main() {
    multiproc::init();
    web::as_client(measure).unwrap();
}

fn measure() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, keeps) in [("keep_alive", true), ("close", false)] {
        let mut group = criterion.benchmark_group(format!("serve/{name}"));
        group.throughput(Throughput::Elements(1));
        for model in Model::ALL {
            // Not within: criterion comes back for each sample.
            let server = Server::start(model, CONNECTIONS).unwrap();
            let mut client = Client::connect(server.address, CONNECTIONS, keeps).unwrap();
            client.settle().unwrap();
            group.bench_function(model.name(), |b| {
                b.iter_custom(|count| timed(&mut client, count).unwrap());
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
