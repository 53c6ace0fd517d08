use super::*;
use crate::Store;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;

const SIZE: u64 = 100_000;

struct Place {
    _dir: tempfile::TempDir,
    store: Store,
    digest: Sha256,
    bytes: Vec<u8>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let bytes: Vec<u8> = (0..SIZE).map(|at| u8::try_from(at % 251).unwrap()).collect();
        Self { _dir: dir, store, digest: crate::model::sha256(&bytes), bytes }
    }

    fn open(&self) -> Partial {
        self.store.partial(&self.digest, SIZE, "a test").unwrap()
    }

    fn write(&self, partial: &Partial, range: Range<u64>) -> u64 {
        let bytes = &self.bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
        let (first, second) = bytes.split_at(bytes.len() / 3);
        partial.write(range.start, &[first, second]).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.store.root().join("partial").join(self.digest.hex())
    }

    fn journal(&self) -> String {
        fs_err::read_to_string(journal_of(&self.path())).unwrap()
    }

    /// Another start of the kernel.
    fn reboot(&self) {
        let boot = boot_id().unwrap();
        let text = self.journal().replace(&boot, "00000000-0000-0000-0000-000000000000");
        fs_err::write(journal_of(&self.path()), text).unwrap();
    }
}

fn ranges(list: &[Range<u64>]) -> Ranges {
    let mut ranges = Ranges::new();
    for range in list {
        ranges.insert(range.clone());
    }
    ranges
}

#[test]
fn bytes_written_in_any_order_become_the_blob() {
    let place = Place::new();
    let partial = place.open();
    assert_eq!(place.write(&partial, 60_000..SIZE), 40_000);
    assert_eq!(place.write(&partial, 0..50_000), 50_000);
    assert_eq!((partial.reach(0), partial.reach(50_000), partial.reach(70_000)), (50_000, 50_000, SIZE));
    assert_eq!(place.write(&partial, 40_000..60_000), 10_000);
    let mut back = vec![0; 10];
    partial.read(59_995, &mut back).unwrap();
    assert_eq!(back, &place.bytes[59_995..60_005]);
    assert!(partial.write(SIZE - 1, &[b"12"]).is_err(), "beyond the end");
    let blob = partial.commit().unwrap();
    assert_eq!(fs_err::read(&blob).unwrap(), place.bytes);
    assert_eq!(fs_err::metadata(&blob).unwrap().mode() & 0o7777, 0o444);
    assert_eq!(fs_err::read_dir(place.store.root().join("partial")).unwrap().count(), 0);
}

#[test]
fn what_was_written_survives_the_process_and_what_was_synced_a_reboot() {
    let place = Place::new();
    let partial = place.open();
    place.write(&partial, 0..10_000);
    partial.sync().unwrap();
    assert_eq!(partial.unsynced(), 0);
    place.write(&partial, 20_000..30_000);
    assert_eq!(partial.unsynced(), 10_000);
    drop(partial);
    let partial = place.open();
    assert_eq!(partial.have(), ranges(&[0..10_000, 20_000..30_000]));
    drop(partial);
    assert_eq!(place.store.partial_bytes(&place.digest, SIZE), 20_000);
    place.reboot();
    assert_eq!(place.store.partial_bytes(&place.digest, SIZE), 10_000);
    assert_eq!(place.open().have(), Ranges::whole(10_000));
}

#[test]
fn a_journal_that_is_damaged_cut_off_or_of_another_file_says_less_never_more() {
    let place = Place::new();
    let partial = place.open();
    place.write(&partial, 0..10_000);
    place.write(&partial, 20_000..30_000);
    drop(partial);
    let whole = place.journal();
    let path = journal_of(&place.path());
    let first = Ranges::whole(10_000);
    let end = whole.rfind("w 20000").unwrap();
    for (text, expected) in [
        (whole[..whole.len() - 1].to_owned(), first.clone()),
        (whole[..end + 4].to_owned(), first.clone()),
        (format!("{}x 1 2\n{}", &whole[..end], &whole[end..]), first.clone()),
        (format!("{}w 5 999999999\n", &whole[..end]), first.clone()),
        (format!("{}w 9 5\n", &whole[..end]), first),
        (format!("{}\0\0\0\0", &whole[..10]), Ranges::new()),
        (whole.replace(&SIZE.to_string(), "99"), Ranges::new()),
        (whole.replace(&place.digest.hex(), &"0".repeat(64)), Ranges::new()),
        (String::new(), Ranges::new()),
        ("\n".repeat(2 << 20), Ranges::new()),
    ] {
        fs_err::write(place.path(), &place.bytes).unwrap();
        fs_err::write(&path, &text).unwrap();
        let partial = place.open();
        assert_eq!(partial.have(), expected, "{}", text.chars().take(300).collect::<String>());
    }
    fs_err::write(&path, [0xff; 100]).unwrap();
    assert!(place.open().have().is_empty());
}

#[test]
fn bytes_that_somebody_cut_off_are_not_there() {
    let place = Place::new();
    let partial = place.open();
    place.write(&partial, 0..50_000);
    drop(partial);
    fs_err::OpenOptions::new().write(true).open(place.path()).unwrap().set_len(20_000).unwrap();
    assert_eq!(place.store.partial_bytes(&place.digest, SIZE), 20_000);
    assert_eq!(place.open().have(), Ranges::whole(20_000));
    fs_err::remove_file(place.path()).unwrap();
    assert!(place.open().have().is_empty());
}

#[test]
fn one_writer_at_a_time_and_the_other_is_told_who() {
    let place = Place::new();
    let partial = place.open();
    let error = place.store.partial(&place.digest, SIZE, "second").unwrap_err();
    let StoreError::Busy { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, format!("process {} (a test)", std::process::id()));
    assert!(matches!(place.store.remove_partial(&place.digest), Err(StoreError::Busy { .. })));
    drop(partial);
    drop(place.open());
    place.store.remove_partial(&place.digest).unwrap();
    place.store.remove_partial(&place.digest).unwrap();
    assert!(!place.path().exists() && !journal_of(&place.path()).exists());
}

#[test]
fn a_new_beginning_and_a_discard_leave_nothing() {
    let place = Place::new();
    let partial = place.open();
    place.write(&partial, 0..50_000);
    partial.sync().unwrap();
    partial.restart().unwrap();
    assert!(partial.have().is_empty() && partial.unsynced() == 0);
    assert_eq!(fs_err::metadata(place.path()).unwrap().len(), 0);
    drop(partial);
    let partial = place.open();
    assert!(partial.have().is_empty());
    place.write(&partial, 0..5);
    assert_eq!(place.store.partial_files().unwrap().len(), 1);
    partial.discard().unwrap();
    assert_eq!(place.store.partial_files().unwrap(), []);
    assert_eq!(fs_err::read_dir(place.store.root().join("partial")).unwrap().count(), 0);
}

#[test]
fn a_long_journal_is_made_short() {
    let place = Place::new();
    let partial = place.open();
    for _ in 0..2 {
        for at in 0..10_000 {
            partial.write(at * 2, &[b"x"]).unwrap();
        }
    }
    drop(partial);
    assert!(place.journal().len() < 600 << 10, "{}", place.journal().len());
    assert_eq!(place.open().have().total(), 10_000);
}

#[test]
fn many_pieces_are_one_write() {
    let place = Place::new();
    let partial = place.open();
    let pieces: Vec<&[u8]> = place.bytes.chunks(31).collect();
    assert!(pieces.len() > 3000);
    partial.write(0, &pieces).unwrap();
    assert_eq!(fs_err::read(partial.commit().unwrap()).unwrap(), place.bytes);
}

#[test]
fn bytes_that_were_placed_count_once_they_are_noted() {
    let place = Place::new();
    let partial = place.open();
    partial.place(0, &place.bytes[..1000]).unwrap();
    partial.note_range(0..1000).unwrap();
    partial.place(5000, &[1; 100]).unwrap();
    assert!(partial.place(SIZE - 1, &[1, 2]).is_err(), "beyond the end");
    drop(partial);
    let partial = place.open();
    assert_eq!(partial.have(), Ranges::of(0..1000), "what was not noted is not there");
    partial.sync().unwrap();
    partial.forget_range(&(200..300)).unwrap();
    drop(partial);
    assert_eq!(place.open().have(), ranges(&[0..200, 300..1000]), "also in the journal");
}
