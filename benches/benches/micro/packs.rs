//! Reading messages out of packs.

use std::hint::black_box;
use std::sync::Arc;

use storage::{BlobRef, BlobStore as _, Provenance};

use crate::messages::corpus;
use crate::{Amount, Piece, Ready};

pub(crate) const PIECES: &[Piece] = &[
    Piece {
        name: "read packs one by one",
        prepare: || {
            packs(|runtime, store, blobs| {
                runtime.block_on(async {
                    for blob in blobs {
                        black_box(store.get(blob, 0..blob.size).await.unwrap());
                    }
                });
            })
        },
    },
    Piece {
        name: "read packs, many at once",
        prepare: || {
            packs(|runtime, store, blobs| {
                black_box(runtime.block_on(store.get_many(blobs)));
            })
        },
    },
];

type Read = fn(&tokio::runtime::Runtime, &blob_packs::PackStore, &[BlobRef]);

fn packs(read: Read) -> Ready {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let inside = runtime.enter();
    let store = blob_packs::PackStore::open(dir.path(), Default::default(), |_| ()).unwrap();
    drop(inside);
    let messages = corpus();
    let octets = messages.iter().map(Vec::len).sum();
    let put = async |message: Vec<u8>| {
        let from = Provenance::default();
        store.put(message.into(), &from).await.unwrap()
    };
    let blobs: Vec<BlobRef> = messages
        .into_iter()
        .map(|message| runtime.block_on(put(message)))
        .collect();
    // Held as long as the closure: the files, and what closes them.
    let open = Arc::new((dir, store, runtime));
    Ready {
        amount: Amount::Octets(octets),
        run: Box::new(move || {
            let (_, store, runtime) = &*open;
            read(runtime, store, black_box(&blobs));
        }),
    }
}
