using System.Collections.Concurrent;
using System.ComponentModel.DataAnnotations;
using DuckDB.NET.Data;
using DuckDB.NET.Native;
using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Core.Query;

/// <summary>Limits of the process's DuckDB.</summary>
public sealed record DuckEngineOptions
{
    /// <summary>The only directory DuckDB may touch beside its own temporary one. Absolute.</summary>
    [Required]
    public required string SegmentsDirectory { get; init; }

    /// <summary>Where operators that outgrow memory spill; emptied by whoever owns the data directory at start. Absolute.</summary>
    [Required]
    public required string TempDirectory { get; init; }

    [Range(64, 1_000_000)]
    public int MemoryMegabytes { get; init; } = 1_024;

    [Range(64, 10_000_000)]
    public int TempMegabytes { get; init; } = 4_096;

    [Range(1, 1_024)]
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Queries that DuckDB works on at once; those beyond wait. One caller has at most half of these places.</summary>
    [Range(1, 1_024)]
    public int ConcurrentQueries { get; init; } = 4;

    /// <summary>Answers open at once, being worked on or being written; those without an account have at most half of them.</summary>
    [Range(1, 100_000)]
    public int OpenAnswers { get; init; } = 256;

    /// <summary>Answers that one caller has open at once; without an account, one address.</summary>
    [Range(1, 100_000)]
    public int AnswersPerCaller { get; init; } = 32;

    /// <summary>The most that one workbook or Parquet answer takes on disk while it is made.</summary>
    [Range(1, 1_000_000)]
    public int AnswerMegabytes { get; init; } = 1_024;

    /// <summary>The most that all of them take together; those without an account have at most half of it.</summary>
    [Range(2, 10_000_000)]
    public int AnswersMegabytes { get; init; } = 4_096;

    /// <summary>Bytes of disk that they leave free; 0: no such reserve.</summary>
    [Range(0, long.MaxValue)]
    public long FreeBytesMin { get; init; }

    /// <summary>Longest wait for admission before <c>query.busy</c>.</summary>
    public TimeSpan AdmissionWait { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest that DuckDB works on one query. How long its answer takes to be read is for the host to limit.</summary>
    public TimeSpan QueryTimeout { get; init; } = TimeSpan.FromMinutes(2);
}

/// <summary>
/// The process's one in-memory DuckDB. It reads segments and holds the tails' tables; it cannot reach other files, the network or
/// extensions, and its settings are locked. It could write inside the segments directory, so only compiled queries and our own
/// maintenance statements may be run.
/// </summary>
public sealed class DuckEngine : IDisposable
{
    private readonly DuckEngineOptions _options;
    private readonly TimeProvider _time;
    private readonly ISegmentStore? _segments;
    private readonly DuckDBConnection _root;
    private readonly ConcurrentBag<DuckDBConnection> _idle = [];
    private readonly AnswerPlaces _places;
    private readonly Lock _connecting = new();
    private volatile bool _disposed;

    /// <param name="options">Its limits.</param>
    /// <param name="time">What they are counted by.</param>
    /// <param name="segments">Brings the segments that a query reads; null where they all lie in the directory.</param>
    public DuckEngine(DuckEngineOptions options, TimeProvider time, ISegmentStore? segments = null)
    {
        Validator.ValidateObject(options, new ValidationContext(options), validateAllProperties: true);
        (_options, _time, _segments) = (options, time, segments);
        _places = new(options, time);
        Room = new(options);
        Directory.CreateDirectory(options.SegmentsDirectory);
        Directory.CreateDirectory(options.TempDirectory);
        _root = new DuckDBConnection("DataSource=:memory:");
        _root.Open();
        try
        {
            // The order matters: directories are named while access is still on, and the lock comes last.
            string[] settings =
            [
                $"temp_directory = {Literal(options.TempDirectory)}",
                $"max_temp_directory_size = '{options.TempMegabytes}MB'",
                $"memory_limit = '{options.MemoryMegabytes}MB'",
                $"threads = {options.Threads}",
                "TimeZone = 'UTC'",
                "autoinstall_known_extensions = false",
                "autoload_known_extensions = false",
                "allow_community_extensions = false",
                // Segments never change, so what was read of their footers stays true.
                "parquet_metadata_cache = true",
                $"allowed_directories = [{Literal(options.SegmentsDirectory.TrimEnd('/') + "/")}]",
                "enable_external_access = false",
                "lock_configuration = true",
            ];
            TransformFunctions.Register(_root);
            foreach (var setting in settings)
                Run(_root, "SET " + setting);
        }
        catch
        {
            _root.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Runs a query up to its first rows. Fails with <c>query.busy</c> (503), <c>query.timeout</c> (503) or <c>query.tooHeavy</c>
    /// (422, out of memory and of temporary space). The reader must be disposed: it holds a connection.
    /// </summary>
    public Task<Result<QueryReader>> RunAsync(CompiledQuery query, CancellationToken cancel) => RunAsync(query, null, cancel);

    /// <param name="query">The question.</param>
    /// <param name="place">Whose answer it is; null for our own questions.</param>
    /// <param name="cancel">Ends it.</param>
    internal async Task<Result<QueryReader>> RunAsync(CompiledQuery query, AnswerPlaces.Place? place, CancellationToken cancel)
    {
        QueryReader? reader = null;
        DuckDBConnection? connection = null;
        IDisposable? files = null;
        try
        {
            // Before a place to work is taken, and not in DuckDB's time.
            if (_segments is not null)
                files = await _segments.FetchAsync(query.Segments.Select(s => s.Name), cancel).ConfigureAwait(false);
            connection = Rent();
            reader = new QueryReader(this, connection, query, place, files, _options.QueryTimeout, _time, cancel);
            if (await reader.StartAsync(_options.AdmissionWait).ConfigureAwait(false))
                return reader;
            reader.Dispose();
            return Busy();
        }
        catch (SegmentStoreException) when (reader is null)
        {
            return SegmentStoreException.Problem;
        }
        catch (TimeoutException) when (reader is not null)
        {
            reader.Dispose();
            return new Problem("query.timeout", 503, "The query took too long; narrow it by time, place or fields.");
        }
        catch (DuckDBException e) when (reader is not null && (e.ErrorType == DuckDBErrorType.OutOfMemory || e.Message.StartsWith("Out of Memory", StringComparison.Ordinal)))
        {
            reader.Dispose();
            return Problem.Invalid("query.tooHeavy", "The query needs more memory than one query may take; narrow it.");
        }
        catch
        {
            if (reader is not null)
            {
                reader.Dispose();
            }
            else
            {
                connection?.Dispose();
                files?.Dispose();
            }
            throw;
        }
    }

    /// <summary>Runs one of our own statements, such as making a tail's table. Never for text that came from outside.</summary>
    public void Execute(string sql)
    {
        var connection = Rent();
        try
        {
            Run(connection, sql);
        }
        finally
        {
            Return(connection);
        }
    }

    /// <summary>The rows of one of our own statements, with a value from outside as its <c>$1</c>.</summary>
    internal List<T> Read<T>(string sql, string value, Func<System.Data.IDataRecord, T> row)
    {
        var connection = Rent();
        try
        {
            using var command = connection.CreateCommand();
            command.CommandText = sql;
            command.Parameters.Add(new DuckDBParameter(value));
            using var reader = command.ExecuteReader();
            var rows = new List<T>();
            while (reader.Read())
                rows.Add(row(reader));
            return rows;
        }
        finally
        {
            Return(connection);
        }
    }

    /// <summary>Appends rows to a table; what was appended is visible once the appender is disposed.</summary>
    public TableAppender OpenAppender(string table) => new(this, Rent(), table);

    internal DuckDBConnection Rent()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_idle.TryTake(out var connection))
            return connection;
        lock (_connecting)
        {
            connection = _root.Duplicate();
            if (connection.State != System.Data.ConnectionState.Open)
                connection.Open();
            return connection;
        }
    }

    internal void Return(DuckDBConnection connection)
    {
        if (_disposed)
            connection.Dispose();
        else
            _idle.Add(connection);
    }

    internal AnswerPlaces Places => _places;

    internal SpoolRoom Room { get; }

    internal string TempDirectory => _options.TempDirectory;

    private static void Run(DuckDBConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    internal static Problem Busy() => new("query.busy", 503, "Too many queries are running; try again shortly.")
    {
        Extensions = new Dictionary<string, object?> { ["retryAfterSeconds"] = 5 },
    };

    private static string Literal(string text) => "'" + text.Replace("'", "''", StringComparison.Ordinal) + "'";

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        while (_idle.TryTake(out var connection))
            connection.Dispose();
        _root.Dispose();
        _places.Dispose();
    }
}

/// <summary>An appender with the connection it came from.</summary>
public sealed class TableAppender : IDisposable
{
    private readonly DuckEngine _engine;
    private readonly DuckDBConnection _connection;

    internal TableAppender(DuckEngine engine, DuckDBConnection connection, string table)
    {
        (_engine, _connection) = (engine, connection);
        try
        {
            Rows = connection.CreateAppender(table);
        }
        catch
        {
            engine.Return(connection);
            throw;
        }
    }

    public DuckDB.NET.Data.DuckDBAppender Rows { get; }

    public void Dispose()
    {
        try
        {
            Rows.Dispose();
        }
        finally
        {
            _engine.Return(_connection);
        }
    }
}
