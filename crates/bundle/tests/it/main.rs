//! Bundles as they lie on disks: whole, damaged, and made to deceive.

#![expect(clippy::unwrap_used, reason = "functions that tests share")]

mod common;
<<<<<<< HEAD
mod create;
mod decision;
=======
mod repair;
>>>>>>> 033ae90 (Bundle repair: what is missing or bad is made again from parity or a patch, where it lies or in another folder, and looked at before it takes its place)
mod set;
mod verify;
