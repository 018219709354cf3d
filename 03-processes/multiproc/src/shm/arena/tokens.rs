//! Tokens: what keeps a region while a handle to it is encoded in bytes that are not yet decoded.
//!
//! Each encoding of a handle has a *token* of its own. A token is a word of shared memory that
//! contains the slot it keeps and a bit for *outstanding*. Its number and value travel with the
//! handle. The first decoding, in any process, ticks the token off by one compare-and-swap from
//! exactly that value. A second decoding of the same bytes finds another value and changes nothing.
//! This holds even if the word has meanwhile become the token of another encoding, because each use
//! of a word has a new serial number.
//!
//! Words come in blocks. A process takes a block by a lock on a byte of the arena's file, as it
//! does for a slot, and issues tokens from its own blocks only. The kernel drops the lock when the
//! process ends, however it ends. Its tokens are then void, and another process can take the block.
//! So there is nothing to repair after a kill at any instruction. A token that is never ticked off
//! (its message was dropped, or its receiver killed) keeps its region until the process that issued
//! it ends, and no longer.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::directory::{Arena, Local, OwnTokens};
use super::layout::{BLOCK, BLOCKS, SLOTS, TOKENS_AT};
use crate::sys::failpoint::failpoint;
use crate::sys::file_lock::Kind;

/// In a word: the token is outstanding. Above it the slot's number, above that the serial number.
const OUTSTANDING: u64 = 1;
const SLOT_SHIFT: u32 = 1;
const SERIAL: u64 = 1 << 17;

const _: () = assert!(SLOTS << SLOT_SHIFT == SERIAL);

fn slot_of(word: u64) -> u32 {
    ((word % SERIAL) >> SLOT_SHIFT) as u32
}

/// One encoding's token, as it travels with the handle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Token {
    index: u32,
    /// Zero where no token is needed, since something else keeps the region.
    value: u64,
}

impl OwnTokens {
    /// Looks for words that have been ticked off.
    fn refill(&mut self, arena: &Arena) {
        self.free.clear();
        for block in &self.blocks {
            let first = block * BLOCK as u32;
            let words = (first..).zip(arena.block(*block));
            let is_free = |word: &AtomicU64| word.load(Ordering::Acquire) & OUTSTANDING == 0;
            self.free.extend(words.filter(|(_, word)| is_free(word)).map(|(index, _)| index));
        }
    }
}

impl Arena {
    /// A block that was taken once: beyond those the file may have no memory.
    fn block(&self, block: u32) -> &[AtomicU64; BLOCK] {
        self.directory.get(block_at(block))
    }

    fn token(&self, index: u32) -> &AtomicU64 {
        &self.block(index / BLOCK as u32)[index as usize % BLOCK]
    }

    /// The number of blocks that were ever taken.
    fn blocks(&self) -> u32 {
        self.header().blocks.load(Ordering::Acquire).min(BLOCKS) as u32
    }

    /// A token that keeps the slot from now on. This process holds the slot's region.
    ///
    /// # Errors
    ///
    /// When two million tokens are outstanding, or the arena cannot be made longer.
    pub(super) fn issue_token(&self, local: &mut Local, slot: u32) -> io::Result<Token> {
        let own = &mut local.tokens;
        if own.free.is_empty() {
            own.refill(self);
            // A look at all words must find many, or each token would cost one.
            if own.free.len() < own.blocks.len() * BLOCK / 4 || own.blocks.is_empty() {
                match self.take_block(own) {
                    Ok(()) => own.refill(self),
                    Err(error) if own.free.is_empty() => return Err(error),
                    Err(_) => {}
                }
            }
        }
        let index = own.free.pop().expect("there is one, or an error");
        let word = self.token(index);
        let serial = (word.load(Ordering::Relaxed) / SERIAL).wrapping_add(1);
        let value = serial.wrapping_mul(SERIAL) | u64::from(slot) << SLOT_SHIFT | OUTSTANDING;
        // First, so that a process that could free the slot checks the tokens from now on.
        self.slot(slot).has_tokens.store(1, Ordering::SeqCst);
        failpoint("token: slot marked");
        word.store(value, Ordering::SeqCst);
        failpoint("token: issued");
        Ok(Token { index, value })
    }

    /// Takes a block that no process has.
    fn take_block(&self, own: &mut OwnTokens) -> io::Result<()> {
        let header = self.header();
        let _lock = header.lock.lock();
        for block in 0..BLOCKS as u32 {
            if block == self.blocks() {
                self.lengthen(block_at(block + 1) as u64)?;
                header.blocks.store(u64::from(block) + 1, Ordering::Release);
                failpoint("token: block counted");
            }
            if own.blocks.contains(&block) || !self.lock_byte(lock_of(block), Kind::Write, false)? {
                continue;
            }
            // The tokens of the previous owner are void. A late decoding may tick one off at this
            // moment, which has the same effect.
            failpoint("token: block locked");
            for word in self.block(block) {
                word.fetch_and(!OUTSTANDING, Ordering::Relaxed);
            }
            failpoint("token: block swept");
            own.blocks.push(block);
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::StorageFull, "too many handles are in flight"))
    }

    /// Ticks the token off; nothing happens if that has been done.
    pub(super) fn tick_off(&self, token: Token, slot: u32) {
        let Token { index, value } = token;
        if value & OUTSTANDING != 0
            && slot_of(value) == slot
            && index / (BLOCK as u32) < self.blocks()
        {
            // A failure means that it is ticked off already, or void: its owner has ended.
            let _ = self.token(index).compare_exchange(
                value,
                value & !OUTSTANDING,
                Ordering::SeqCst,
                Ordering::Relaxed,
            );
        }
    }

    /// Whether the token, issued by this process, has not been ticked off.
    pub(super) fn is_outstanding(&self, token: Token) -> bool {
        token.value != 0 && self.token(token.index).load(Ordering::SeqCst) == token.value
    }

    /// Whether a token of a living process keeps the slot. The caller holds the arena's lock, and
    /// no process holds the slot: so no token for it can be issued meanwhile.
    pub(super) fn is_in_flight(&self, local: &Local, slot: u32) -> io::Result<bool> {
        if self.slot(slot).has_tokens.load(Ordering::SeqCst) == 0 {
            return Ok(false);
        }
        let keeps = |word: &AtomicU64| {
            let word = word.load(Ordering::SeqCst);
            word & OUTSTANDING != 0 && slot_of(word) == slot
        };
        for block in (0..self.blocks()).filter(|block| self.block(*block).iter().any(keeps)) {
            if local.tokens.blocks.contains(&block) || self.is_byte_locked(lock_of(block))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn block_at(block: u32) -> usize {
    TOKENS_AT + block as usize * size_of::<[AtomicU64; BLOCK]>()
}

/// The byte whose lock a block's owner has: behind those of the slots.
fn lock_of(block: u32) -> u64 {
    SLOTS + u64::from(block)
}
