using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Witnessing;

/// <summary>What this node has cosigned of others' logs, and what others have cosigned of its own.</summary>
public sealed class WitnessSchema : IHotSchema
{
    public string Sql(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS witnessed_log (
            origin {store.Text} NOT NULL PRIMARY KEY,
            size {store.Number} NOT NULL,
            note {store.Bytes} NOT NULL,
            time {store.Number} NOT NULL
        );

        CREATE TABLE IF NOT EXISTS cosigned_checkpoint (
            one {store.Number} PRIMARY KEY CHECK (one = 1),
            size {store.Number} NOT NULL,
            note {store.Bytes} NOT NULL,
            time {store.Number} NOT NULL
        );
        """;
}
