using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Signals;

/// <summary>Signals, and how far each analysis has come. Signals are not audited entities: each has its own ledger entries, of its beginning and of its end. Offsets and states follow from the log.</summary>
public sealed class SignalSchema : IHotSchema
{
    public string Sql(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS analysis_position (
            analysis {store.Text} NOT NULL,
            shard {store.Number} NOT NULL,
            version {store.Number} NOT NULL,
            next_index {store.Number} NOT NULL,      -- everything below is in the states and signals
            step {store.Number} NOT NULL,            -- counts commits: what a step compares before it writes
            parked {store.Text},                     -- why it goes on no more, in English; null while it does
            PRIMARY KEY (analysis, shard)
        ){store.Clustered};

        CREATE TABLE IF NOT EXISTS analysis_state (
            analysis {store.Text} NOT NULL,
            part {store.Text} NOT NULL,
            shard {store.Number} NOT NULL,
            state {store.Bytes} NOT NULL,
            due {store.Number},                      -- when it wants to be told the time
            PRIMARY KEY (analysis, part)
        ){store.Clustered};
        CREATE INDEX IF NOT EXISTS analysis_state_due ON analysis_state(analysis, shard, due) WHERE due IS NOT NULL;

        CREATE TABLE IF NOT EXISTS signal (
            id {store.Bytes} PRIMARY KEY,            -- that of its ledger entry
            analysis {store.Text} NOT NULL,
            part {store.Text} NOT NULL,
            same {store.Text} NOT NULL,              -- key of the same thing again
            kind {store.Text} NOT NULL,
            severity {store.Number} NOT NULL,
            dataset {store.Number} NOT NULL,
            unit {store.Text},
            place {store.Text},
            first_index {store.Number} NOT NULL,
            last_index {store.Number} NOT NULL,
            raised {store.Number} NOT NULL,
            content {store.Text} NOT NULL,           -- canonical JSON; its salted hash is in the ledger
            salt {store.Bytes} NOT NULL,
            ended {store.Number},
            end_entry {store.Bytes},                 -- id of the ledger entry of its end
            end_content {store.Text},
            end_salt {store.Bytes}
        ){store.Clustered};
        CREATE INDEX IF NOT EXISTS signal_dataset ON signal(dataset, id);
        CREATE INDEX IF NOT EXISTS signal_open ON signal(analysis, part, same) WHERE ended IS NULL;
        """;
}
