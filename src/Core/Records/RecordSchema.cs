using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records;

/// <summary>The tables records live by. Ids are 16-byte big-endian blobs; times are microseconds UTC; datasets go by their number.</summary>
public sealed class RecordSchema : IHotSchema
{
    public string Sql(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS batch (
            id {store.Bytes} PRIMARY KEY,              -- batch id, low 32 bits zero
            dataset {store.Number} NOT NULL,
            schema_version {store.Number} NOT NULL,
            contributor {store.Text} NOT NULL,        -- party id
            received {store.Number} NOT NULL,
            rows {store.Number} NOT NULL,
            rejected {store.Number} NOT NULL,
            root {store.Bytes} NOT NULL,               -- RFC 6962 root of the rows' leaves
            subject_salt {store.Bytes} NOT NULL,
            tree {store.Bytes} NOT NULL,               -- hashes of the batch tree at level 8, for proofs without reading the batch
            entry {store.Bytes} NOT NULL,              -- id of the ledger entry
            request {store.Text} UNIQUE,              -- contributor and idempotency key, or null
            request_digest {store.Bytes},              -- SHA-256 of what was asked, to tell a repeat from a clash
            source {store.Text} NOT NULL              -- how it came: format and door
        ){store.Clustered};
        CREATE INDEX IF NOT EXISTS batch_dataset ON batch(dataset, received);
        CREATE UNIQUE INDEX IF NOT EXISTS batch_entry ON batch(entry);

        CREATE TABLE IF NOT EXISTS segment (
            number {store.Counter},
            dataset {store.Number} NOT NULL,
            name {store.Text} NOT NULL UNIQUE,        -- SHA-256 of the file, lower-case hex
            schema_version {store.Number} NOT NULL,
            rows {store.Number} NOT NULL,
            bytes {store.Number} NOT NULL,
            time_min {store.Number} NOT NULL,
            time_max {store.Number} NOT NULL,
            place_min {store.Text},
            place_max {store.Text},
            has_replaced {store.Number} NOT NULL DEFAULT 0
        );
        CREATE INDEX IF NOT EXISTS segment_dataset ON segment(dataset);

        CREATE TABLE IF NOT EXISTS segment_batch (
            batch {store.Bytes} NOT NULL,
            first_ordinal {store.Number} NOT NULL,
            segment {store.Number} NOT NULL REFERENCES segment(number),
            rows {store.Number} NOT NULL,            -- ordinals spanned; those erased since are missing in the file
            PRIMARY KEY (batch, first_ordinal)
        ){store.Clustered};
        CREATE INDEX IF NOT EXISTS segment_batch_segment ON segment_batch(segment);

        CREATE TABLE IF NOT EXISTS tail (
            dataset {store.Number} NOT NULL,
            batch {store.Bytes} NOT NULL,
            ordinal {store.Number} NOT NULL,
            row {store.Bytes} NOT NULL,                -- canonical bytes
            salt {store.Bytes},
            PRIMARY KEY (dataset, batch, ordinal)
        ){store.Clustered};

        CREATE TABLE IF NOT EXISTS replaced (
            dataset {store.Number} NOT NULL,
            batch {store.Bytes} NOT NULL,
            ordinal {store.Number} NOT NULL,
            by_record {store.Bytes},                   -- the superseding record, or null
            leaf {store.Bytes},                        -- kept when the content is erased: the row is then in no segment and no tail
            PRIMARY KEY (dataset, batch, ordinal)
        ){store.Clustered};
        CREATE INDEX IF NOT EXISTS replaced_by ON replaced(by_record) WHERE by_record IS NOT NULL;

        CREATE TABLE IF NOT EXISTS record_state (
            dataset {store.Number} PRIMARY KEY,
            sequence {store.Number} NOT NULL         -- counts the commits that changed the dataset's records
        );
        """;
}
