using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records.Keys;

/// <summary>Where keys are listed. All of it but the secrets can be made again from the records.</summary>
public sealed class KeySchema : IHotSchema
{
    public string Sql => """
        CREATE TABLE IF NOT EXISTS key_state (
            dataset INTEGER PRIMARY KEY,
            secret BLOB NOT NULL,             -- 16 random bytes: what this dataset's keys are hashed under
            format INTEGER NOT NULL,          -- format version of runs and hashes; another one is made anew at the start
            sequence INTEGER NOT NULL         -- counts the commits that listed keys
        );

        CREATE TABLE IF NOT EXISTS key_run (
            number INTEGER PRIMARY KEY,
            dataset INTEGER NOT NULL,
            name TEXT NOT NULL UNIQUE,        -- SHA-256 of the file, lower-case hex
            entries INTEGER NOT NULL,
            sequence INTEGER NOT NULL         -- the commit that listed it
        );
        CREATE INDEX IF NOT EXISTS key_run_dataset ON key_run(dataset, sequence);

        CREATE TABLE IF NOT EXISTS key_tail (
            dataset INTEGER NOT NULL,
            hash BLOB NOT NULL,               -- 16 bytes, big-endian
            batch BLOB NOT NULL,
            ordinal INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            PRIMARY KEY (dataset, hash, batch, ordinal)
        ) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS key_tail_sequence ON key_tail(dataset, sequence);
        """;
}
