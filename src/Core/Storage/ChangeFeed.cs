using System.Buffers;
using System.Data.Common;
using System.Text;
using System.Text.Json;

namespace Gongzhi.Core.Storage;

/// <summary>What machines hold in memory of what SQL holds. Applied in this order, so that what a later one needs is there.</summary>
public enum FeedTopic
{
    /// <summary>Definitions of datasets; a number of a dataset.</summary>
    Catalog = 1,

    /// <summary>Places; nothing further.</summary>
    Places = 2,

    /// <summary>Records of a dataset; see <see cref="Records.RecordStore"/>.</summary>
    Records = 3,

    /// <summary>Keys of a dataset; see <see cref="Records.Keys.KeyIndex"/>.</summary>
    Keys = 4,

    /// <summary>The policy epoch, which stands for grants, postures, parties, roles, units and elements.</summary>
    Policy = 5,
}

/// <summary>
/// Keeps this machine's memory in step with what other machines of the world write. Each group of changes leaves a row of <c>change_feed</c> that says what of it is held in
/// memory; whoever writes reads the rows since his last under the writer's lock, and whoever answers reads them before (<see cref="CurrentAsync"/>). So an answer shows at
/// least all that was acknowledged, on any machine, before it was asked for. A world on one machine has nothing to follow.
/// </summary>
/// <remarks>
/// A row may be applied when SQL is further already, or for a second time after a failure: whoever follows must bear both. Memory is changed under one lock, in the order of
/// commits, which this process's own commits hold too from the commit until they have published what they changed.
/// </remarks>
public sealed class ChangeFeed : IDisposable
{
    /// <summary>Rows taken in one look; a machine that is further behind has stood still for long and starts anew.</summary>
    private const int RowsMax = 50_000;

    /// <summary>Rows are kept for so many groups and for so long: for commits that gave no answer, and for machines that stood still.</summary>
    private const int RowsKept = 100_000;

    private static readonly TimeSpan KeptFor = TimeSpan.FromHours(1);

    /// <summary>Groups between two removals of old rows.</summary>
    private const int PruneEvery = 4_096;

    /// <summary>How long a look waits for this process's own commit to be told of.</summary>
    private static readonly TimeSpan OrderWait = TimeSpan.FromSeconds(2);

    /// <summary>Between two looks when nobody asks for one: so that memory is never far behind, and whoever waits for other machines' work is told.</summary>
    public static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(200);

    /// <summary>As <see cref="Poll"/>, while the others write or somebody waits for what they do.</summary>
    public static readonly TimeSpan PollSoon = TimeSpan.FromMilliseconds(10);

    private readonly World _world;
    private readonly SortedDictionary<FeedTopic, Action<IReadOnlyList<long[]>>> _followers = [];
    private readonly List<Func<DbConnection, CancellationToken, Task>> _alongside = [];
    private readonly Lock _order = new();
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stop = new();
    private TaskCompletionSource? _next;
    private readonly ManualResetEventSlim _wanted = new(false, spinCount: 0);
    private Thread? _looking;
    private bool _closed;
    private DbConnection? _connection;
    private string? _run;
    private long? _last;
    private long _groups;
    private Exception? _lost;

    internal ChangeFeed(World world) => _world = world;

    /// <summary>Whether other machines write the same database.</summary>
    public bool Shared => _world.Shared;

    /// <summary>Why this machine cannot follow any more and must be started again; null while it can.</summary>
    public Exception? Lost => Volatile.Read(ref _lost);

    /// <summary>Raised after changes of other machines were applied: for whoever looks for new work in the database.</summary>
    public event Action? Advanced;

    /// <summary>
    /// Makes this process known, so that others can put an end to it: from then on it writes nothing any more once they have written it down as ended (<see cref="Machines.EndAsync"/>),
    /// however long it stood still in between.
    /// </summary>
    /// <param name="run">Tells it from every other process.</param>
    /// <param name="silo">Its address in the cluster.</param>
    internal void Enter(WriteScope scope, string run, string silo)
    {
        using var command = scope.Command("INSERT INTO machine(run, silo, began, ended) VALUES (@run, @silo, @began, 0) ON CONFLICT DO NOTHING");
        command.Set("@run", run).Set("@silo", silo).Set("@began", Microseconds.From(TimeProvider.System.GetUtcNow())).ExecuteNonQuery();
        scope.AfterCommit(() => _run = run);
    }

    /// <summary>What to do when another machine has changed something: is given each change since the last time, in order.</summary>
    internal void Follow(FeedTopic topic, Action<IReadOnlyList<long[]>> apply)
    {
        if (!Shared)
            return;
        lock (_order)
            _followers[topic] = _followers.TryGetValue(topic, out var before) ? before + apply : apply;
    }

    /// <summary>Something else to look at with each look, outside of the order of commits, before whoever asked is answered.</summary>
    internal void Alongside(Func<DbConnection, CancellationToken, Task> look)
    {
        if (!Shared)
            return;
        lock (_gate)
            _alongside.Add(look);
    }

    /// <summary>
    /// Completes when memory shows all that was committed before the call. One look at the database serves all that wait for one.
    /// </summary>
    /// <exception cref="StoreUnavailableException">The database cannot be asked: what is in memory may be out of date and must not be answered from.</exception>
    public Task CurrentAsync(CancellationToken cancel = default)
    {
        if (!Shared)
            return Task.CompletedTask;
        Task asked;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            if (_next is null)
            {
                _next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                _wanted.Set();
            }
            asked = _next.Task;
            if (_looking is null)
            {
                // A thread of its own: requests that wait for it may hold all those of the pool.
                _looking = new Thread(Look) { IsBackground = true, Name = "changes of other machines" };
                _looking.Start();
            }
        }
        return asked.WaitAsync(cancel);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_closed)
                return;
            _closed = true;
            _wanted.Set();
        }
        // A look that goes on has a limit of time, and its thread closes the connection.
        _stop.Cancel();
    }

    /// <summary>Under the writer's lock, before the first work of a group: from here on memory is what the transaction sees.</summary>
    internal void CatchUp(DbConnection connection, DbTransaction transaction)
    {
        if (!Shared)
            return;
        var rows = Read(connection, transaction);
        lock (_order)
            Apply(rows);
    }

    /// <summary>Held by the writer from before a commit until what it changed is published.</summary>
    internal Lock.Scope EnterOrder() => _order.EnterScope();

    /// <summary>The number of the last group in memory; null before the first look.</summary>
    internal long? Last => _last;

    /// <summary>This process has committed a group; inside <see cref="EnterOrder"/>.</summary>
    internal void Kept(long number) => _last = number;

    /// <summary>In a group's transaction, now and then: rows that nobody needs any more.</summary>
    internal void Prune(DbConnection connection, DbTransaction transaction, long number)
    {
        if (++_groups % PruneEvery != 0)
            return;
        using var command = connection.Command("""
            WITH gone AS (DELETE FROM change_feed WHERE number < @number AND at < @at RETURNING number)
            UPDATE change_feed_start SET number = greatest(number, coalesce((SELECT max(number) FROM gone), 0)) WHERE one = 1
            """, transaction);
        command.Set("@number", number - RowsKept);
        command.Set("@at", Microseconds.From(TimeProvider.System.GetUtcNow() - KeptFor));
        command.ExecuteNonQuery();
    }

    private void Look()
    {
        while (true)
        {
            _wanted.Wait();
            TaskCompletionSource asked;
            lock (_gate)
            {
                if (_next is null)
                {
                    Close();
                    return;
                }
                (asked, _next) = (_next, null);
                if (!_closed)
                    _wanted.Reset();
            }
            try
            {
                if (Lost is { } lost)
                    throw new WriterStoppedException(lost);
                var connection = _connection ??= PostgresStore.OpenFollower(_world);
                var rows = Read(connection, null);
                if (rows.Count > 0)
                {
                    if (!_order.TryEnter(OrderWait))
                        throw new TimeoutException("A commit of this machine has not been answered yet.");
                    try
                    {
                        Apply(rows);
                    }
                    finally
                    {
                        _order.Exit();
                    }
                }
                foreach (var look in _alongside)
                    look(connection, _stop.Token).GetAwaiter().GetResult();
                asked.TrySetResult();
                if (rows.Count > 0)
                    Advanced?.Invoke();
            }
            catch (Exception e)
            {
                Close();
                asked.TrySetException(e is WriterStoppedException ? e : new StoreUnavailableException(e));
                // That nobody may wait for this look is no fault.
                _ = asked.Task.Exception;
            }
        }
    }

    private void Close()
    {
        _connection?.Dispose();
        _connection = null;
    }

    private List<(long Number, string Changes)> Read(DbConnection connection, DbTransaction? transaction)
    {
        var rows = new List<(long, string)>();
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        if (Volatile.Read(ref _lost) is { } known)
            throw new WriterStoppedException(known);
        if (_last is not { } last)
        {
            command.CommandText = "SELECT coalesce(max(number), 0) FROM change_feed";
            var newest = (long)command.ExecuteScalar()!;
            lock (_order)
                _last ??= newest;
            return rows;
        }
        command.CommandText = """
            SELECT number, changes FROM change_feed WHERE number > @last
            UNION ALL SELECT -number, '' FROM change_feed_start WHERE number > @last
            UNION ALL SELECT 0, '' FROM machine WHERE run = @run AND ended <> 0
            ORDER BY number LIMIT @max
            """;
        command.Set("@last", last);
        command.Set("@run", _run ?? "");
        command.Set("@max", RowsMax);
        using var reader = command.ExecuteReader();
        while (reader.Read())
            rows.Add((reader.GetInt64(0), reader.GetString(1)));
        if (rows.Count == RowsMax || rows.Count > 0 && rows[0].Item1 <= 0)
        {
            var lost = new InvalidOperationException(rows[0].Item1 == 0
                ? "The other machines have taken this one for ended; what it was about to list may be gone."
                : "This machine stood still for so long that it cannot tell what the others changed.");
            Volatile.Write(ref _lost, lost);
            throw new WriterStoppedException(lost);
        }
        return rows;
    }

    /// <summary>In the order of commits.</summary>
    private void Apply(List<(long Number, string Changes)> rows)
    {
        var changes = new SortedDictionary<FeedTopic, List<long[]>>();
        foreach (var (number, text) in rows)
        {
            // Another look, or this process's own commit, was there before.
            if (number <= _last || text.Length == 0)
                continue;
            using var json = JsonDocument.Parse(text);
            foreach (var change in json.RootElement.EnumerateArray())
            {
                var numbers = change.EnumerateArray().Select(n => n.GetInt64()).ToArray();
                var topic = (FeedTopic)numbers[0];
                if (!changes.TryGetValue(topic, out var list))
                    changes[topic] = list = [];
                list.Add(numbers[1..]);
            }
        }
        foreach (var (topic, list) in changes)
        {
            if (_followers.TryGetValue(topic, out var apply))
                apply(list);
        }
        if (rows.Count > 0 && rows[^1].Number > _last)
            _last = rows[^1].Number;
    }

    /// <summary>What a group tells of, as it stands in its row.</summary>
    internal static string Text(IReadOnlyCollection<(FeedTopic Topic, long[] Numbers)> changes)
    {
        if (changes.Count == 0)
            return "";
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            foreach (var (topic, numbers) in changes)
            {
                json.WriteStartArray();
                json.WriteNumberValue((int)topic);
                foreach (var number in numbers)
                    json.WriteNumberValue(number);
                json.WriteEndArray();
            }
            json.WriteEndArray();
        }
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
