using Gongzhi.Core.Storage;
using Gongzhi.Ledger;
using Microsoft.Data.Sqlite;

namespace Gongzhi.Tests.Process.Kill;

/// <summary>Where the kill landed, as far as the disk tells before anything is started on it again.</summary>
/// <param name="SegmentsBegun">Segments being written: under a temporary name.</param>
/// <param name="SegmentsUnlisted">Segments with their final name that no committed list names: between the rename and the commit.</param>
/// <param name="BeforeTiles">The compare-and-set is kept, and the published checkpoint is not yet at that size.</param>
/// <param name="Pending">Committed entries that have no index yet.</param>
internal sealed record DiskEvidence(int SegmentsBegun, int SegmentsUnlisted, bool BeforeTiles, long Pending)
{
    /// <summary>Looks at copies: opening the database itself would already begin its recovery.</summary>
    public static DiskEvidence Read(string data)
    {
        var copy = Directory.CreateTempSubdirectory("gongzhi-evidence-");
        try
        {
            foreach (var name in new[] { "node.db", "node.db-wal" })
            {
                if (File.Exists(Path.Combine(data, name)))
                    File.Copy(Path.Combine(data, name), Path.Combine(copy.FullName, name));
            }
            using var connection = new SqliteConnection($"Data Source={Path.Combine(copy.FullName, "node.db")};Pooling=False");
            connection.Open();
            var files = Directory.GetFiles(Path.Combine(data, "segments")).Select(Path.GetFileName).ToList();
            var listed = Names(connection);
            var size = Scalar(connection, "SELECT coalesce(max(size), 0) FROM log_state");
            return new DiskEvidence(
                files.Count(f => f!.EndsWith(".tmp", StringComparison.Ordinal)),
                files.Count(f => f!.EndsWith(".parquet", StringComparison.Ordinal) && !listed.Contains(f)),
                size > Published(data),
                Scalar(connection, "SELECT count(*) FROM ledger_pending WHERE log_index IS NULL"));
        }
        finally
        {
            copy.Delete(recursive: true);
        }
    }

    /// <summary>After a start: no file is left that nothing names, and the whole database is as SQLite wants it.</summary>
    public static void AssertSwept(string data)
    {
        using var connection = new SqliteConnection($"Data Source={Path.Combine(data, "node.db")};Mode=ReadOnly;Pooling=False");
        connection.Open();
        using (var check = connection.CreateCommand())
        {
            check.CommandText = "PRAGMA integrity_check";
            Assert.Equal("ok", check.ExecuteScalar());
        }
        Assert.Equal(Names(connection).Order(), Directory.GetFiles(Path.Combine(data, "segments")).Select(f => Path.GetFileName(f)).Order());
        Assert.Empty(Directory.GetFiles(Path.Combine(data, "spool")));
        foreach (var reject in Directory.GetFiles(Path.Combine(data, "rejects")))
        {
            using var command = connection.CreateCommand();
            command.CommandText = "SELECT rejected FROM batch WHERE id = $id";
            command.Parameters.AddWithValue("$id", Core.Records.RecordId.Bytes(Guid.Parse(Path.GetFileNameWithoutExtension(reject))));
            Assert.True(command.ExecuteScalar() is > 0L, reject);
        }
    }

    /// <summary>Segments that hold rows of several contributions: what folds made.</summary>
    public static long Folds(string data)
    {
        using var connection = new SqliteConnection($"Data Source={Path.Combine(data, "node.db")};Mode=ReadOnly;Pooling=False");
        connection.Open();
        return Scalar(connection, "SELECT count(*) FROM (SELECT segment FROM segment_batch GROUP BY segment HAVING count(*) > 1)");
    }

    private static long Published(string data)
    {
        var path = Path.Combine(data, "ledger", "checkpoint");
        return File.Exists(path) && SignedNote.TryParse(File.ReadAllBytes(path), out var note) && Checkpoint.TryParse(note.Text.Span, out var checkpoint) ? checkpoint.Size : 0;
    }

    private static HashSet<string> Names(SqliteConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT name FROM segment";
        using var reader = command.ExecuteReader();
        var names = new HashSet<string>(StringComparer.Ordinal);
        while (reader.Read())
            names.Add(reader.GetString(0) + ".parquet");
        return names;
    }

    private static long Scalar(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return (long)command.ExecuteScalar()!;
    }
}
