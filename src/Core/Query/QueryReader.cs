using Apache.Arrow;
using Apache.Arrow.Ipc;
using DuckDB.NET.Data;
using DuckDB.NET.Native;

namespace Gongzhi.Core.Query;

/// <summary>
/// A running query, read batch by batch as Arrow. Interrupted by its caller's token, and when DuckDB has worked on it for as long as it may; the time in which nobody takes the next
/// batch does not count, and then it holds no working place. Not for several threads.
/// </summary>
public sealed class QueryReader : IDisposable
{
    private readonly DuckEngine _engine;
    private readonly DuckDBConnection _connection;
    private readonly DuckDBCommand _command;
    private readonly AnswerPlaces.Place? _place;
    private readonly IDisposable? _files;
    private readonly TimeProvider _time;
    private readonly CancellationToken _caller;
    private readonly CancellationTokenSource _timeout;
    private readonly CancellationTokenSource _stop;
    private readonly Lock _lock = new();
    private CancellationTokenRegistration _interrupt;
    private IArrowArrayStream? _stream;
    private RecordBatch? _first;

    /// <summary>What is left of the time that DuckDB may work.</summary>
    private TimeSpan _left;

    /// <summary>Guarded by the lock: an interrupt after the end would hit the connection's next query.</summary>
    private bool _over;

    internal QueryReader(DuckEngine engine, DuckDBConnection connection, CompiledQuery query, AnswerPlaces.Place? place, IDisposable? files, TimeSpan timeout, TimeProvider time, CancellationToken cancel)
    {
        (_engine, _connection, Query, _place, _files, _left, _time, _caller) = (engine, connection, query, place, files, timeout, time, cancel);
        _timeout = new(Timeout.InfiniteTimeSpan, time);
        _stop = CancellationTokenSource.CreateLinkedTokenSource(cancel, _timeout.Token);
        _command = connection.CreateCommand();
        _command.CommandText = query.Sql;
        _command.UseStreamingMode = true;
        foreach (var value in query.Parameters)
            _command.Parameters.Add(new DuckDBParameter(value!));
    }

    public CompiledQuery Query { get; }

    /// <summary>A file to make the answer in.</summary>
    internal AnswerSpool OpenSpool() => new(_engine.TempDirectory, _engine.Room, _place is { Anonymous: true });

    /// <summary>Rows handed out so far, the one that only tells of a next page included.</summary>
    public long RowsRead { get; private set; }

    public Schema Schema => _stream!.Schema;

    /// <summary>Works up to the first rows; false when there was no place to work within the time given.</summary>
    internal async Task<bool> StartAsync(TimeSpan wait)
    {
        _interrupt = _stop.Token.UnsafeRegister(static state => ((QueryReader)state!).Interrupt(), this);
        if (!await _engine.Places.EnterAsync(_place, wait, _caller).ConfigureAwait(false))
            return false;
        _first = await FetchAsync(start: true).ConfigureAwait(false);
        return true;
    }

    /// <summary>The next batch, which the caller disposes; null at the end.</summary>
    /// <exception cref="TimeoutException">The time limit was reached.</exception>
    public async Task<RecordBatch?> NextAsync()
    {
        var batch = _first;
        _first = null;
        if (batch is null)
        {
            await _engine.Places.EnterAsync(_place, Timeout.InfiniteTimeSpan, _caller).ConfigureAwait(false);
            batch = await FetchAsync(start: false).ConfigureAwait(false);
        }
        RowsRead += batch?.Length ?? 0;
        return batch;
    }

    /// <summary>In a working place, which it leaves.</summary>
    private async Task<RecordBatch?> FetchAsync(bool start)
    {
        var began = _time.GetTimestamp();
        try
        {
            _timeout.CancelAfter(_left > TimeSpan.Zero ? _left : TimeSpan.Zero);
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
        finally
        {
            _left -= _time.GetElapsedTime(began);
            _timeout.CancelAfter(Timeout.InfiniteTimeSpan);
            _engine.Places.Exit(_place);
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
        _files?.Dispose();
        _stop.Dispose();
        _timeout.Dispose();
    }
}
