using System.Data.Common;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Policy;

/// <summary>
/// A number that rises with every change of anything a decision depends on: grants, postures, roles, parties, datasets. It is kept in SQL, so that it
/// never falls after a restart, and published after the commit and after the snapshots it stands for.
/// </summary>
public sealed class PolicyEpoch : IHotSchema
{
    private readonly List<Action> _drops = [];
    private long _current = 1;

    public string Sql(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS policy_epoch(id {store.Number} PRIMARY KEY CHECK(id = 1), epoch {store.Number} NOT NULL);
        INSERT INTO policy_epoch(id, epoch) VALUES (1, 1) ON CONFLICT DO NOTHING;
        """;

    public long Current => Volatile.Read(ref _current);

    /// <summary>Other machines raise it too; then every snapshot is read anew, for what it stands for may be of any of them.</summary>
    public void Follow(ChangeFeed feed) => feed.Follow(FeedTopic.Policy, raised =>
    {
        lock (_drops)
            _drops.ForEach(drop => drop());
        Publish(raised[^1][0]);
    });

    internal void Attach(Action drop)
    {
        lock (_drops)
            _drops.Add(drop);
    }

    /// <summary>Raises the epoch in this transaction. Call it after the snapshots' own callbacks were registered.</summary>
    public void Raise(WriteScope scope)
    {
        using var command = scope.Command("UPDATE policy_epoch SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch");
        var raised = (long)command.ExecuteScalar()!;
        scope.Tell(FeedTopic.Policy, raised);
        scope.AfterCommit(() => Publish(raised));
    }

    /// <summary>At the start, from what the database holds.</summary>
    public void Load(DbConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT epoch FROM policy_epoch WHERE id = 1";
        Publish((long)command.ExecuteScalar()!);
    }

    private void Publish(long epoch)
    {
        long seen;
        while ((seen = Volatile.Read(ref _current)) < epoch)
            Interlocked.CompareExchange(ref _current, epoch, seen);
    }
}

/// <summary>
/// An immutable in-memory copy of some tables, replaced after each commit that touched them. When it cannot be read again it is dropped rather
/// than kept stale, and the next reader reads it: a revoked grant never lives on because of a failed refresh.
/// </summary>
internal sealed class Snapshot<T> where T : class
{
    private readonly Lock _reading = new();
    private readonly Func<NodeDb> _open;
    private readonly Func<NodeDb, T> _read;
    private readonly PolicyEpoch _epoch;
    private T? _value;
    private bool _stale;

    public Snapshot(Func<NodeDb> open, Func<NodeDb, T> read, PolicyEpoch epoch)
    {
        (_open, _read, _epoch) = (open, read, epoch);
        epoch.Attach(Drop);
    }

    public T Value => Volatile.Read(ref _value) ?? Read();

    /// <summary>Registers the refresh and then the new epoch; several changes in one group commit read once.</summary>
    public void Changed(WriteScope scope)
    {
        _stale = true;
        scope.AfterCommit(() =>
        {
            if (!_stale)
                return;
            _stale = false;
            Drop();
        });
        _epoch.Raise(scope);
    }

    private void Drop()
    {
        lock (_reading)
            Volatile.Write(ref _value, null);
    }

    private T Read()
    {
        lock (_reading)
        {
            if (_value is { } there)
                return there;
            using var db = _open();
            var value = _read(db);
            Volatile.Write(ref _value, value);
            return value;
        }
    }
}
