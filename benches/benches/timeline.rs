//! What a timeline span costs when `TIMELINE` is not set: it stands in every case, and must not
//! change what the case shows. Left out: what it costs when it is (an appending write for its start
//! and one for its end).

use criterion::{Criterion, criterion_group, criterion_main};
use util::timeline;

fn span(c: &mut Criterion) {
    assert!(timeline::env().is_none(), "this measures a timeline that is off: unset TIMELINE");
    let _timeline = timeline::start();
    let mut group = c.benchmark_group("timeline");
    group.bench_function("span_off", |b| b.iter(|| timeline::span("work")));
    group.bench_function("span_off_formatted", |b| {
        let mut round = 0_u32;
        b.iter(|| {
            round = round.wrapping_add(1);
            timeline::span(format_args!("round {round}"))
        });
    });
    group.finish();
}

criterion_group!(benches, span);
criterion_main!(benches);
