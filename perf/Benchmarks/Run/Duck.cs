using DuckDB.NET.Data;

namespace Gongzhi.Perf;

/// <summary>Raw DuckDB, as anyone would use it: in memory, no policy, no limits but the same number of threads.</summary>
internal sealed class Duck : IDisposable
{
    public Duck()
    {
        Connection = new DuckDBConnection("DataSource=:memory:");
        Connection.Open();
        Execute($"SET threads = {Environment.ProcessorCount}");
        Execute("SET TimeZone = 'UTC'");
        Execute("SET preserve_insertion_order = true");
        Execute("SET parquet_metadata_cache = true");
    }

    public DuckDBConnection Connection { get; }

    public void Execute(string sql)
    {
        using var command = Connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    public long Scalar(string sql)
    {
        using var command = Connection.CreateCommand();
        command.CommandText = sql;
        return Convert.ToInt64(command.ExecuteScalar(), System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>Copies to a file and waits for the disk to have it, as a commit does.</summary>
    public void CopyDurably(string select, string path)
    {
        Execute($"COPY ({select}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)");
        using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
        file.Flush(flushToDisk: true);
    }

    public void Dispose() => Connection.Dispose();
}
