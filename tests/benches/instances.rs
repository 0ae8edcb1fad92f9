//! The cost of an instance: the time to make one, with its WASI and socket contexts, and the memory
//! that it holds, from 1 to 10,000 alive at once, by both of wasmtime's allocators. Each
//! measurement is a process of its own, on one CPU.

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use sandsock_host::SandsockCtx;
use sandsock_host::policy::{Policy, PolicyBuilderExt as _};
use sandsock_tests::bench::{pin, resident};
use sandsock_tests::{State, programs, raise_descriptor_limit};
use wasmtime::component::{Component, Linker};
use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::p2::bindings::CommandPre;

const COUNTS: [u32; 5] = [1, 10, 100, 1_000, 10_000];
const ROUNDS: usize = 5;
const ALLOCATORS: [&str; 2] = ["on demand", "pooling"];
/// How many memory maps an instance takes where each is allocated on demand.
const MAPS: u64 = 7;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, allocator, count, ..] = &args[..]
        && flag == "--measure"
    {
        return measure(allocator, count.parse().expect("a number"));
    }
    pin();
    println!("an instance of a guest, one CPU, medians of {ROUNDS} rounds");
    println!(
        "{:<10} {:<10} {:>16} {:>22}",
        "instances", "allocator", "time for each", "resident for each"
    );
    for count in COUNTS {
        for allocator in ALLOCATORS {
            if allocator == "on demand" && u64::from(count) * MAPS > most_maps() {
                println!("{count:<10} {allocator:<10} {:>16} {:>22}", "-", "vm.max_map_count");
                continue;
            }
            let mut rounds: Vec<(f64, f64)> =
                (0..ROUNDS).map(|_| of_child(allocator, count)).collect();
            let time = median(&mut rounds, |round| round.0);
            let memory = median(&mut rounds, |round| round.1);
            println!("{count:<10} {allocator:<10} {time:>13.1} us {memory:>18.1} KiB");
        }
    }
}

fn median(rounds: &mut [(f64, f64)], of: impl Fn(&(f64, f64)) -> f64) -> f64 {
    rounds.sort_by(|a, b| of(a).total_cmp(&of(b)));
    of(&rounds[rounds.len() / 2])
}

/// Microseconds and KiB for each.
fn of_child(allocator: &str, count: u32) -> (f64, f64) {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program)
        .args(["--measure", allocator, &count.to_string()])
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [time, memory] => (time, memory),
        _ => panic!("{allocator} {count}: {text}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn measure(allocator: &str, count: u32) {
    // Each context has an eventfd.
    raise_descriptor_limit(20_000);
    let mut config = Config::new();
    config.concurrency_support(false).epoch_interruption(true);
    config.cache(Some(Cache::new(CacheConfig::new()).expect("a cache folder")));
    if allocator == "pooling" {
        // One more, which warms up. A guest of std has up to eight core instances, of WASI's
        // adapter the most.
        let count = count + 1;
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(count)
            .total_core_instances(count * 8)
            .total_memories(count)
            .total_tables(count * 8);
        pool.total_stacks(count);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    let engine = Engine::new(&config).expect("an engine");
    let component = Component::from_file(&engine, programs::serve_connection_ok.path())
        .expect("`make guests` builds it");
    let mut linker = Linker::<State>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("links");
    sandsock_host::add_to_linker_async(&mut linker).expect("links");
    let pre =
        CommandPre::new(linker.instantiate_pre(&component).expect("fits")).expect("is a program");
    let policy = Arc::new(Policy::builder().build());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let make = || {
        let sandsock =
            SandsockCtx::builder(Arc::clone(&policy)).wait_on_fiber().build().expect("a context");
        let wasi = WasiCtx::builder().arg("guest").build();
        let mut store = Store::new(&engine, State::new(wasi, sandsock));
        store.set_epoch_deadline(1);
        let command = runtime.block_on(pre.instantiate_async(&mut store)).expect("an instance");
        (store, command)
    };
    // The parts that are made only once are not part of an instance's cost.
    drop(make());
    let mut all = Vec::with_capacity(count as usize);
    let before = resident();
    let start = Instant::now();
    all.extend((0..count).map(|_| make()));
    let time = start.elapsed().as_nanos() as f64 / 1000.0;
    let memory = resident().saturating_sub(before) as f64;
    println!("{} {}", time / f64::from(count), memory / f64::from(count));
}

/// How many memory maps the kernel lets a process have.
fn most_maps() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(u64::MAX)
}
