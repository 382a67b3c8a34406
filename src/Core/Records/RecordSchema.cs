using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records;

/// <summary>The tables records live by. Ids are 16-byte big-endian blobs; times are microseconds UTC; datasets go by their number.</summary>
public sealed class RecordSchema : IHotSchema
{
    public string Sql => """
        CREATE TABLE IF NOT EXISTS batch (
            id BLOB PRIMARY KEY,              -- batch id, low 32 bits zero
            dataset INTEGER NOT NULL,
            schema_version INTEGER NOT NULL,
            contributor TEXT NOT NULL,        -- party id
            received INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            rejected INTEGER NOT NULL,
            root BLOB NOT NULL,               -- RFC 6962 root of the rows' leaves
            subject_salt BLOB NOT NULL,
            tree BLOB NOT NULL,               -- hashes of the batch tree at level 8, for proofs without reading the batch
            entry BLOB NOT NULL,              -- id of the ledger entry
            request TEXT UNIQUE,              -- contributor and idempotency key, or null
            request_digest BLOB,              -- SHA-256 of what was asked, to tell a repeat from a clash
            source TEXT NOT NULL              -- how it came: format and door
        ) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS batch_dataset ON batch(dataset, received);
        CREATE UNIQUE INDEX IF NOT EXISTS batch_entry ON batch(entry);

        CREATE TABLE IF NOT EXISTS segment (
            number INTEGER PRIMARY KEY,
            dataset INTEGER NOT NULL,
            name TEXT NOT NULL UNIQUE,        -- SHA-256 of the file, lower-case hex
            schema_version INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            time_min INTEGER NOT NULL,
            time_max INTEGER NOT NULL,
            place_min TEXT,
            place_max TEXT,
            has_replaced INTEGER NOT NULL DEFAULT 0
        );
        CREATE INDEX IF NOT EXISTS segment_dataset ON segment(dataset);

        CREATE TABLE IF NOT EXISTS segment_batch (
            batch BLOB NOT NULL,
            first_ordinal INTEGER NOT NULL,
            segment INTEGER NOT NULL REFERENCES segment(number),
            rows INTEGER NOT NULL,            -- ordinals spanned; those erased since are missing in the file
            PRIMARY KEY (batch, first_ordinal)
        ) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS segment_batch_segment ON segment_batch(segment);

        CREATE TABLE IF NOT EXISTS tail (
            dataset INTEGER NOT NULL,
            batch BLOB NOT NULL,
            ordinal INTEGER NOT NULL,
            row BLOB NOT NULL,                -- canonical bytes
            salt BLOB,
            PRIMARY KEY (dataset, batch, ordinal)
        ) WITHOUT ROWID;

        CREATE TABLE IF NOT EXISTS replaced (
            dataset INTEGER NOT NULL,
            batch BLOB NOT NULL,
            ordinal INTEGER NOT NULL,
            by_record BLOB,                   -- the superseding record, or null
            leaf BLOB,                        -- kept when the content is erased: the row is then in no segment and no tail
            PRIMARY KEY (dataset, batch, ordinal)
        ) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS replaced_by ON replaced(by_record) WHERE by_record IS NOT NULL;

        CREATE TABLE IF NOT EXISTS record_state (
            dataset INTEGER PRIMARY KEY,
            sequence INTEGER NOT NULL         -- counts the commits that changed the dataset's records
        );
        """;
}
