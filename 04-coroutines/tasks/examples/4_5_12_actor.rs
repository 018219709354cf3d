//! 4.5.12 · Actor 模型 · An actor: one task owns the state, the others send it messages.
//!
//! Python: nothing of the kind in asyncio; a class with methods works there, since only one task
//! runs between two `await`s.
//! Rust: state that belongs to one task needs no lock, on however many threads the others run. A
//! message that wants an answer carries a `oneshot` sender. The actor ends when its last handle is
//! dropped. `1_4_7_task_manager` does the same between processes.
//!
//! Run: `cargo run --example 4_5_12_actor`
//! Notes: `notes/en/04-coroutines.md#actor` · `notes/zh-CN/04-coroutines.md#actor`
//!
//! ```output
//! 10 tasks try to withdraw 30 of 100: 3 succeed
//! a failed one is told the balance: Err(10)
//! the last handle is dropped: the actor ends with a balance of 15
//! ```

use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
};

// ANCHOR: actor
enum Message {
    Deposit(u32),
    /// The answer: the new balance, or the balance that was too low.
    Withdraw(u32, oneshot::Sender<Result<u32, u32>>),
}

/// The actor: the balance is a local variable.
async fn account(mut balance: u32, mut messages: mpsc::Receiver<Message>) -> u32 {
    while let Some(message) = messages.recv().await {
        match message {
            Message::Deposit(amount) => balance += amount,
            Message::Withdraw(amount, reply) => {
                let result = balance.checked_sub(amount).ok_or(balance);
                balance = result.unwrap_or(balance);
                let _ = reply.send(result); // an error if nobody waits for the answer any more
            }
        }
    }
    balance // the last handle is gone
}
// ANCHOR_END: actor

// ANCHOR: handle
/// What the others hold: methods that send a message and wait for the answer.
#[derive(Clone)]
struct Account(mpsc::Sender<Message>);

impl Account {
    fn open(balance: u32) -> (Account, JoinHandle<u32>) {
        let (sender, messages) = mpsc::channel(8); // bounded: a busy actor slows its senders down
        (Account(sender), tokio::spawn(account(balance, messages)))
    }

    async fn deposit(&self, amount: u32) {
        self.0.send(Message::Deposit(amount)).await.expect("the actor lives as long as a handle");
    }

    async fn withdraw(&self, amount: u32) -> Result<u32, u32> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Withdraw(amount, reply);
        self.0.send(message).await.expect("the actor lives as long as a handle");
        answer.await.expect("every message is answered")
    }
}
// ANCHOR_END: handle

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    util::case!();
    // ANCHOR: use
    let (account, actor) = Account::open(100);
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let account = account.clone();
        tasks.spawn(async move { account.withdraw(30).await });
    }
    let results = tasks.join_all().await;
    let succeeded = results.iter().filter(|result| result.is_ok()).count();
    println!("10 tasks try to withdraw 30 of 100: {succeeded} succeed");
    let failed = account.withdraw(30).await;
    println!("a failed one is told the balance: {failed:?}");
    account.deposit(5).await;
    drop(account);
    let balance = actor.await.unwrap();
    println!("the last handle is dropped: the actor ends with a balance of {balance}");
    // ANCHOR_END: use
    assert_eq!((succeeded, failed, balance), (3, Err(10), 15));
}
