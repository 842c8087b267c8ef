//! The lake in a bucket: every call may fail, or be done without a reply.

use weir_testkit::fault::Faulty;

use super::*;

async fn over(store: Arc<dyn ObjectStore>) -> Lake {
    lake(&Ground::Bucket(store)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_call_to_a_bucket_fails_or_loses_its_reply_nothing_is_lost_or_doubled() {
    let topic = eight_changes_and_three_poisons();
    for fault in [Faulty::call_fails, Faulty::call_loses_reply] {
        let mut unharmed = 0;
        for call in 0.. {
            let inner = Arc::new(InMemory::new());
            let faulty = Arc::new(fault(inner.clone(), call));
            let first = try_landing(&over(faulty.clone()).await, &topic, 5).await;
            unharmed += u32::from(first.is_ok());
            if !faulty.struck() {
                first.unwrap();
                assert!(call > 30, "{call} calls are too few for a landing in batches");
                break;
            }
            let lake = over(inner).await;
            landing(&lake, &topic, 5).await;
            // Every committed file is read for this.
            all_of_them_are_there(&lake).await;
        }
        assert!(unharmed > 1, "a lost reply or a failed checkpoint stops no landing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_fails_often_is_asked_until_everything_is_there_once() {
    let topic = eight_changes_and_three_poisons();
    let mut restarts = [0; 3];
    for (restarts, percent) in restarts.iter_mut().zip([1, 10, 50]) {
        for seed in 0..4 {
            let inner = Arc::new(InMemory::new());
            let faulty = Arc::new(Faulty::at_random(inner.clone(), percent, seed));
            while try_landing(&over(faulty.clone()).await, &topic, 5).await.is_err() {
                *restarts += 1;
                assert!(*restarts < 400, "at {percent} percent it never comes through");
            }
            all_of_them_are_there(&over(inner).await).await;
        }
    }
    assert!(restarts[2] > 0, "the client's own tries do not always do: {restarts:?}");
}
