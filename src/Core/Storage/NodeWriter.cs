using System.Data.Common;
using System.Threading.Channels;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Storage;

/// <summary>
/// The one writer. Every durable change is a piece of work run here, one after another on one connection; the works that are
/// waiting when a transaction is about to commit join it (group commit), each under its own savepoint, so that one
/// fsync serves many callers and a failing work takes nobody with it. A caller is answered only after COMMIT returned.
/// </summary>
public sealed class NodeWriter : IAsyncDisposable
{
    /// <summary>Works joined into one commit at most: bounds both the wait of the first and the memory of the journal.</summary>
    public const int GroupSizeMax = 2_048;

    /// <summary>Works waiting before callers are told to try again (<see cref="StoreUnavailableException"/>) rather than made to wait in turn.</summary>
    public const int QueueMax = 65_536;

    private readonly Channel<Work> _queue = Channel.CreateBounded<Work>(new BoundedChannelOptions(QueueMax) { SingleReader = true });
    private readonly Func<NodeDb> _openContext;
    private readonly ILogger<NodeWriter> _log;
    private readonly World _world;
    private readonly SqlStore _store;
    private readonly CancellationTokenSource _stop = new();
    private readonly ManualResetEventSlim _wanted = new(false, spinCount: 0);
    private readonly Task _loop;
    private Exception? _broken;

    // Set before the queue is closed, so that a full one is told from a closed one.
    private volatile bool _closing;

    public NodeWriter(World world, Func<NodeDb> openContext, ILogger<NodeWriter> log)
    {
        _openContext = openContext;
        _log = log;
        _world = world;
        _store = SqlStore.Of(world);
        Feed = new ChangeFeed(world);
        Feed.Advanced += () => Committed?.Invoke();
        // A thread of its own: it waits for the disk or the database, and those who wait for it may hold all threads of the pool.
        _loop = Task.Factory.StartNew(Run, CancellationToken.None, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default);
    }

    /// <summary>What other machines of the world change.</summary>
    public ChangeFeed Feed { get; }

    /// <summary>Whether changes are taken at all.</summary>
    public WriteGate Gate { get; init; } = new();

    /// <summary>Raised after each group commit, and after another machine's was heard of: for whoever looks for new work in the database.</summary>
    public event Action? Committed;

    /// <summary>Set once a commit's outcome became unknown; the node must be restarted, nothing is accepted until then.</summary>
    public Exception? Broken => _broken;

    /// <summary>Works that wait for their turn.</summary>
    public int Waiting => _queue.Reader.Count;

    /// <summary>Why the last group could not be committed; null once one was again.</summary>
    public Exception? Refusing { get; private set; }

    /// <summary>Runs <paramref name="work"/> inside the next group transaction and completes after it is durable.</summary>
    /// <remarks>The work must not touch anything but the connection: it runs on the writer's thread and holds up everyone.</remarks>
    public async Task<T> RunAsync<T>(Func<WriteScope, T> work, CancellationToken cancel = default)
    {
        var item = new Work<T>(work);
        cancel.ThrowIfCancellationRequested();
        Enqueue(item);
        return await item.Done.Task.ConfigureAwait(false);
    }

    public Task RunAsync(Action<WriteScope> work, CancellationToken cancel = default) =>
        RunAsync(scope => { work(scope); return true; }, cancel);

    /// <summary>Runs <paramref name="change"/> on a fresh <see cref="NodeDb"/> bound to the group's transaction and saves it.</summary>
    public Task<T> ChangeAsync<T>(Func<NodeDb, WriteScope, T> change, CancellationToken cancel = default) =>
        RunAsync(scope =>
        {
            using var db = _openContext();
            db.Database.SetDbConnection(scope.Connection);
            db.Database.UseTransaction(scope.Transaction);
            var result = change(db, scope);
            db.SaveChanges();
            return result;
        }, cancel);

    public async ValueTask DisposeAsync()
    {
        if (!_closing)
        {
            _closing = true;
            _queue.Writer.TryComplete();
            _wanted.Set();
            await _stop.CancelAsync().ConfigureAwait(false);
        }
        await _loop.ConfigureAwait(false);
        Feed.Dispose();
        _stop.Dispose();
    }

    private void Enqueue(Work item)
    {
        Gate.Demand();
        if (_broken is not null)
            throw new WriterStoppedException(_broken);
        if (_queue.Writer.TryWrite(item))
        {
            _wanted.Set();
            return;
        }
        // Full or closed; a closed queue never takes anything again.
        if (_closing)
            throw new WriterStoppedException(_broken ?? new ObjectDisposedException(nameof(NodeWriter)));
        throw new StoreUnavailableException(new InvalidOperationException($"{QueueMax} changes are waiting for the writer."));
    }

    /// <summary>False when there is none and never will be.</summary>
    private bool AwaitWork()
    {
        while (_queue.Reader.Count == 0)
        {
            if (_queue.Reader.Completion.IsCompleted)
                return false;
            _wanted.Wait();
            _wanted.Reset();
        }
        return true;
    }

    private void Run()
    {
        DbConnection? connection = null;
        KeptStatements? statements = null;
        var group = new List<Work>(GroupSizeMax);
        try
        {
            while (AwaitWork())
            {
                for (var tried = false; ; tried = true)
                {
                    var kept = connection is not null;
                    try
                    {
                        connection ??= _store.OpenWriter(_world);
                        RunGroup(statements ??= new KeptStatements(connection), group);
                        break;
                    }
                    catch (Exception e) when (e is not WriterStoppedException)
                    {
                        // Nothing was kept, and the connection is not trusted further. What was lost with a connection is done again, once, on a new one; and one from before the server was
                        // started again proves nothing about now.
                        var lost = group.Count == 0 ? kept : connection is { State: not System.Data.ConnectionState.Open };
                        statements?.Dispose();
                        statements = null;
                        connection?.Dispose();
                        connection = null;
                        if (lost && !tried)
                            continue;
                        // Everyone in the group is told to try again.
                        Refusing = e;
                        _log.LogError(e, "A group of {Count} changes could not be committed; nothing of it was kept", group.Count);
                        if (group.Count == 0 && _queue.Reader.TryRead(out var head))
                            group.Add(head);
                        foreach (var work in group)
                            work.Fail(e is ReadOnlyException ? e : new StoreUnavailableException(e));
                        break;
                    }
                }
                group.Clear();
            }
        }
        catch (Exception e)
        {
            e = e is WriterStoppedException ? e.InnerException! : e;
            (_broken, _closing) = (e, true);
            _queue.Writer.TryComplete();
            // Those that were answered already keep their answer.
            foreach (var work in group)
                work.Fail(new WriterStoppedException(e));
            _log.LogCritical(e, "The writer stopped");
        }
        finally
        {
            while (_queue.Reader.TryRead(out var rest))
                rest.Fail(new WriterStoppedException(_broken ?? new ObjectDisposedException(nameof(NodeWriter))));
            statements?.Dispose();
            connection?.Dispose();
        }
    }

    /// <summary>
    /// On a far database all works of a group run first without savepoints, and what they only write is sent together. When one of them fails, nothing has been kept, and the same works run
    /// again one by one, so that the failing one takes nobody with it.
    /// </summary>
    private void RunGroup(KeptStatements statements, List<Work> group)
    {
        if (!_store.IsFar || !RunGroup(statements, group, together: true))
            RunGroup(statements, group, together: false);
    }

    /// <returns>False when a work failed and nothing was kept; only when they ran together.</returns>
    private bool RunGroup(KeptStatements statements, List<Work> group, bool together)
    {
        Gate.Demand();
        using var transaction = _store.BeginWrite(statements.Connection);
        Feed.CatchUp(statements.Connection, transaction);
        var scope = new WriteScope(_store, statements, transaction, Feed.Shared, together);
        var again = group.Count;
        for (var i = 0; ; i++)
        {
            Work? work;
            if (i < again)
                work = group[i];
            else if (again > 0 || group.Count >= GroupSizeMax || !_queue.Reader.TryRead(out work))
                break;
            else
                group.Add(work);
            if (together)
            {
                try
                {
                    work.Run(scope);
                    continue;
                }
                catch (Exception e) when (e is not WriterStoppedException && statements.Connection.State == System.Data.ConnectionState.Open)
                {
                    return false;
                }
            }
            scope.Kept("SAVEPOINT work").ExecuteNonQuery();
            var mark = scope.Mark();
            try
            {
                work.Run(scope);
                scope.Kept("RELEASE work").ExecuteNonQuery();
            }
            catch (Exception e) when (statements.Connection.State == System.Data.ConnectionState.Open)
            {
                transaction.Rollback("work");
                transaction.Release("work");
                scope.Reset(mark);
                work.Refuse(e);
            }
        }
        try
        {
            scope.Flush();
        }
        catch (Exception e) when (together && _store.KeptNothing(e))
        {
            return false;
        }
        using (Feed.EnterOrder())
        {
            Commit(statements.Connection, transaction, scope, group);
            try
            {
                scope.Committed();
                Refusing = null;
            }
            catch (Exception e)
            {
                // What is durable is told so, but memory no longer shows it: only a restart reads it again.
                foreach (var work in group)
                    work.Complete();
                throw new WriterStoppedException(e);
            }
        }
        foreach (var work in group)
            work.Complete();
        Committed?.Invoke();
        return true;
    }

    private void Commit(DbConnection connection, DbTransaction transaction, WriteScope scope, List<Work> group)
    {
        var mark = _store.Mark(connection, transaction, Feed, scope.Told);
        try
        {
            _world.Durably("commit", transaction.Commit);
            if (mark is { } kept)
                Feed.Kept(kept.Number);
        }
        catch (Exception e) when (!_store.CommitKeptNothing(e, connection))
        {
            if (mark is { } sought && Outcome(transaction, sought.Id) is { } found)
            {
                if (!found)
                    throw;
                Feed.Kept(sought.Number);
                return;
            }
            // After a failed flush the transaction may be on the disk or not, and asking again proves nothing: the next start finds out. Nobody
            // is told "nothing was kept", and nothing is built on either answer.
            var stopped = new WriterStoppedException(e);
            foreach (var work in group)
                work.Fail(stopped);
            throw stopped;
        }
    }

    private bool? Outcome(DbTransaction transaction, Guid mark)
    {
        try
        {
            // What did not reach the database must not hold its lock while it is asked.
            transaction.Dispose();
        }
        catch (DbException)
        {
            // The connection is gone, and with it the transaction.
        }
        return _store.Outcome(_world, mark, _stop.Token);
    }

    private abstract class Work
    {
        public abstract void Run(WriteScope scope);
        public abstract void Refuse(Exception e);
        public abstract void Complete();
        public abstract void Fail(Exception e);
    }

    private sealed class Work<T>(Func<WriteScope, T> body) : Work
    {
        private T _result = default!;
        private Exception? _refused;

        public TaskCompletionSource<T> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override void Run(WriteScope scope)
        {
            _refused = null;
            _result = body(scope);
        }

        public override void Refuse(Exception e) => _refused = e;

        public override void Complete()
        {
            if (_refused is null)
                Done.TrySetResult(_result);
            else
                Done.TrySetException(_refused);
        }

        public override void Fail(Exception e) => Done.TrySetException(e);
    }
}

/// <summary>What a piece of work may use: the writer's connection, its transaction, and callbacks for after the commit.</summary>
public sealed class WriteScope
{
    private readonly KeptStatements _statements;
    private readonly List<Action> _afterCommit = [];
    private readonly List<(FeedTopic, long[])> _told = [];
    private readonly bool _tells;
    private readonly DbTransaction _transaction;
    private readonly DbBatch? _later;

    internal WriteScope(SqlStore store, KeptStatements statements, DbTransaction transaction, bool tells, bool together)
    {
        (Store, _statements, _transaction, _tells) = (store, statements, transaction, tells);
        if (!together)
            return;
        _later = statements.Connection.CreateBatch();
        _later.Transaction = transaction;
    }

    internal SqlStore Store { get; }

    /// <summary>The writer's connection. What was to be written <see cref="Later"/> is written by now.</summary>
    public DbConnection Connection
    {
        get
        {
            Flush();
            return _statements.Connection;
        }
    }

    public DbTransaction Transaction => _transaction;

    /// <summary>
    /// Writes in this transaction, at the latest before it next reads or commits, together with what else waits. A work that fails by it fails then: whoever must know at once uses
    /// <see cref="Kept"/>. The text must be a constant.
    /// </summary>
    public void Later(string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        if (_later is null)
        {
            var kept = Kept(sql);
            foreach (var (name, value) in parameters)
                kept.Set(name, value);
            kept.ExecuteNonQuery();
            return;
        }
        var command = _later.CreateBatchCommand();
        command.CommandText = sql;
        foreach (var (name, value) in parameters)
        {
            var parameter = command.CreateParameter();
            (parameter.ParameterName, parameter.Value) = (name, Statements.Stored(value));
            command.Parameters.Add(parameter);
        }
        _later.BatchCommands.Add(command);
    }

    internal void Flush()
    {
        if (_later is not { BatchCommands.Count: > 0 } later)
            return;
        try
        {
            later.ExecuteNonQuery();
        }
        finally
        {
            later.BatchCommands.Clear();
        }
    }

    /// <summary>Runs after the commit, on the writer's thread, before callers are answered: for publishing in-memory snapshots.</summary>
    public void AfterCommit(Action action) => _afterCommit.Add(action);

    /// <summary>Tells the other machines, with this commit, what of their memory it puts out of date.</summary>
    public void Tell(FeedTopic topic, params ReadOnlySpan<long> what)
    {
        if (_tells)
            _told.Add((topic, what.ToArray()));
    }

    /// <summary>
    /// A command in this transaction that stays prepared from one transaction to the next: for what runs in every contribution. The text must be
    /// a constant, since each is kept for ever; the command is the writer's, so do not dispose it; set each parameter with <see cref="Statements.Set"/>.
    /// </summary>
    public DbCommand Kept(string sql)
    {
        Flush();
        return _statements.Get(sql, _transaction);
    }

    /// <summary>A command in this transaction.</summary>
    public DbCommand Command(string sql) => Connection.Command(sql, _transaction);

    internal IReadOnlyCollection<(FeedTopic Topic, long[] Numbers)> Told => _told;

    internal (int, int) Mark() => (_afterCommit.Count, _told.Count);

    internal void Reset((int AfterCommit, int Told) mark)
    {
        _afterCommit.RemoveRange(mark.AfterCommit, _afterCommit.Count - mark.AfterCommit);
        _told.RemoveRange(mark.Told, _told.Count - mark.Told);
    }

    internal void Committed()
    {
        foreach (var action in _afterCommit)
            action();
    }
}

/// <summary>The store cannot take the change now (disk full, locked); nothing was kept and trying again is right.</summary>
public sealed class StoreUnavailableException(Exception inner)
    : Exception("The store cannot take changes at the moment; nothing was kept.", inner);

/// <summary>The writer has stopped: a commit's outcome is unknown, or an invariant broke. Only a restart, with its checks, goes on.</summary>
public sealed class WriterStoppedException(Exception inner) : Exception("The node has stopped writing and must be restarted; a change on its way then may have been kept or not.", inner);
