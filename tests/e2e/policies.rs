//! Scaling policies of the server's own and of its users.

use tests::{Aggregator, repository_root};

async fn policies(args: &[&str]) -> usize {
    let server = Aggregator::start(args).await;
    let answer = server.client().json("/api/bellwether/v1/scaling", &[]).await;
    answer["data"].as_array().or(answer.as_array()).map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_example_makes_room_for_a_copy_of_it() {
    assert_eq!(policies(&[]).await, 1, "the example is there from the start");
    let copy = repository_root().join("rules/scaling").display().to_string();
    assert_eq!(policies(&["--scaling", &copy]).await, 1, "the copy alone");
    assert_eq!(policies(&["--no-shipped-rules"]).await, 0);
}
