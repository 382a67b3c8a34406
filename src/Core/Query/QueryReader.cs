using Apache.Arrow;
using Apache.Arrow.Ipc;
using DuckDB.NET.Data;
using DuckDB.NET.Native;

namespace Gongzhi.Core.Query;

/// <summary>
/// A running query, read batch by batch as Arrow. Interrupted by its time limit and by its caller's token. Not for several threads.
/// </summary>
public sealed class QueryReader : IDisposable
{
    private readonly DuckEngine _engine;
    private readonly DuckDBConnection _connection;
    private readonly DuckDBCommand _command;
    private readonly CancellationToken _caller;
    private readonly CancellationTokenSource _timeout;
    private readonly CancellationTokenSource _stop;
    private readonly Lock _lock = new();
    private CancellationTokenRegistration _interrupt;
    private IArrowArrayStream? _stream;
    private RecordBatch? _first;

    /// <summary>Guarded by the lock: an interrupt after the end would hit the connection's next query.</summary>
    private bool _over;

    internal QueryReader(DuckEngine engine, DuckDBConnection connection, CompiledQuery query, TimeSpan timeout, TimeProvider time, CancellationToken cancel)
    {
        (_engine, _connection, Query, _caller) = (engine, connection, query, cancel);
        _timeout = new(timeout, time);
        _stop = CancellationTokenSource.CreateLinkedTokenSource(cancel, _timeout.Token);
        _command = connection.CreateCommand();
        _command.CommandText = query.Sql;
        _command.UseStreamingMode = true;
        foreach (var value in query.Parameters)
            _command.Parameters.Add(new DuckDBParameter(value!));
    }

    public CompiledQuery Query { get; }

    internal string TempDirectory => _engine.TempDirectory;

    /// <summary>Rows handed out so far, the one that only tells of a next page included.</summary>
    public long RowsRead { get; private set; }

    public Schema Schema => _stream!.Schema;

    internal async Task StartAsync()
    {
        _interrupt = _stop.Token.UnsafeRegister(static state => ((QueryReader)state!).Interrupt(), this);
        _first = await FetchAsync(start: true).ConfigureAwait(false);
    }

    /// <summary>The next batch, which the caller disposes; null at the end.</summary>
    /// <exception cref="TimeoutException">The time limit was reached.</exception>
    public async Task<RecordBatch?> NextAsync()
    {
        var batch = _first;
        _first = null;
        batch ??= await FetchAsync(start: false).ConfigureAwait(false);
        RowsRead += batch?.Length ?? 0;
        return batch;
    }

    private async Task<RecordBatch?> FetchAsync(bool start)
    {
        try
        {
            _stop.Token.ThrowIfCancellationRequested();
            // DuckDB works on the calling thread, and may for seconds.
            var batch = await Task.Run(async () =>
            {
                if (start)
                    _stream = _command.ExecuteArrowStream();
                RecordBatch? next;
                do
                    next = await _stream!.ReadNextRecordBatchAsync().ConfigureAwait(false);
                while (next is { Length: 0 });
                return next;
            }, CancellationToken.None).ConfigureAwait(false);
            return batch;
        }
        catch (Exception) when (_stop.IsCancellationRequested)
        {
            _caller.ThrowIfCancellationRequested();
            throw new TimeoutException("The query took too long.");
        }
    }

    private void Interrupt()
    {
        lock (_lock)
        {
            if (!_over)
                NativeMethods.Startup.DuckDBInterrupt(_connection.NativeConnection);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_over)
                return;
            _over = true;
        }
        _interrupt.Dispose();
        _first?.Dispose();
        _stream?.Dispose();
        _command.Dispose();
        _engine.Return(_connection);
        _engine.Finished();
        _stop.Dispose();
        _timeout.Dispose();
    }
}
