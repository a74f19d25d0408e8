//! Pages of results: what they hold, and how a browser shows them.

mod support;

use polder_loadgen::page::page;
use support::{GET, REQUESTS_PER_SECOND, Shape, everything, file, run};

/// For people who want to look: the page of two full results.
#[test]
fn a_full_page_is_made() {
    let files = vec![
        ("a".to_string(), everything("polder-server 0.1.0", 1)),
        ("b".to_string(), everything("redis-server 7.0.15", 2)),
    ];
    let text = page("Load test report", files).unwrap();
    if let Some(path) = std::env::var_os("POLDER_PAGE") {
        std::fs::write(path, &text).unwrap();
    }
    let single = page(
        "One server",
        vec![(
            "a".to_string(),
            file("polder-server 0.1.0", vec![run(&GET, 1), run(&Shape { name: "SET", ..GET }, 2)]),
        )],
    )
    .unwrap();
    if let Some(path) = std::env::var_os("POLDER_PAGE_SINGLE") {
        std::fs::write(path, &single).unwrap();
    }
    assert!(text.len() > REQUESTS_PER_SECOND);
}
