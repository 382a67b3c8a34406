using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records.Keys;

/// <summary>Where keys are listed. All of it but the secrets can be made again from the records.</summary>
public sealed class KeySchema : IHotSchema
{
    public string Sql(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS key_state (
            dataset {store.Number} PRIMARY KEY,
            secret {store.Bytes} NOT NULL,             -- 16 random bytes: what this dataset's keys are hashed under
            format {store.Number} NOT NULL,          -- format version of runs and hashes; another one is made anew at the start
            sequence {store.Number} NOT NULL         -- counts the commits that listed keys
        );

        CREATE TABLE IF NOT EXISTS key_run (
            number {store.Counter},
            dataset {store.Number} NOT NULL,
            name {store.Text} NOT NULL UNIQUE,        -- SHA-256 of the file, lower-case hex
            entries {store.Number} NOT NULL,
            sequence {store.Number} NOT NULL         -- the commit that listed it
        );
        CREATE INDEX IF NOT EXISTS key_run_dataset ON key_run(dataset, sequence);

        CREATE TABLE IF NOT EXISTS key_tail (
            dataset {store.Number} NOT NULL,
            hash {store.Bytes} NOT NULL,               -- 16 bytes, big-endian
            batch {store.Bytes} NOT NULL,
            ordinal {store.Number} NOT NULL,
            sequence {store.Number} NOT NULL,
            PRIMARY KEY (dataset, hash, batch, ordinal)
        ){store.Clustered};
        CREATE INDEX IF NOT EXISTS key_tail_sequence ON key_tail(dataset, sequence);
        """;
}
