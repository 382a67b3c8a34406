using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Data.Common;
using System.Security.Cryptography;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Core.Records.Keys;

/// <summary>The keys of one dataset at one moment: its runs, and the number of the last commit they show. Immutable.</summary>
internal sealed record KeyList(ImmutableArray<KeyRun> Runs, long Sequence);

/// <summary>
/// Which record has which key, for datasets with a primary key or unique fields: sorted runs of hashes in files, and those of small contributions in
/// SQL until there are enough for a run. A contribution looks before it writes and once more inside its own transaction, so of two with the same key one wins.
/// </summary>
public sealed partial class KeyIndex(World world, NodeWriter writer, RecordStore store)
{
    private readonly ConcurrentDictionary<long, KeyList> _lists = new();
    private readonly ConcurrentDictionary<long, byte[]> _secrets = new();
    private readonly Lock _lock = new();

    /// <summary>Raised after a commit listed keys of a dataset, on the writer's thread.</summary>
    internal event Action<long>? Listed;

    /// <summary>
    /// Opens the runs, sweeps files that no list names, and makes anew what is missing, damaged or of another format. Call it after the catalogue and the
    /// store have been opened. Answers how many datasets were indexed anew.
    /// </summary>
    public async Task<int> OpenAsync(Catalog.Catalog catalog, CancellationToken cancel = default)
    {
        Directory.CreateDirectory(world.KeyRunDirectory);
        var broken = new HashSet<long>();
        var listed = new HashSet<string>(StringComparer.Ordinal);
        using (var connection = NodeDatabase.OpenReader(world))
        {
            var known = new HashSet<long>();
            using (var command = connection.CreateCommand())
            {
                command.CommandText = "SELECT dataset, secret, format, sequence FROM key_state";
                using var reader = command.ExecuteReader();
                while (reader.Read())
                {
                    var dataset = reader.GetInt64(0);
                    known.Add(dataset);
                    _secrets[dataset] = (byte[])reader[1];
                    _lists[dataset] = new KeyList([], reader.GetInt64(3));
                    if (reader.GetInt64(2) != KeyRun.FormatVersion)
                        broken.Add(dataset);
                }
            }
            foreach (var (number, dataset, name, sequence) in Runs(connection, null, null, -1))
            {
                var path = PathOf(name);
                if (Files is not null)
                {
                    // Others may be listing at this moment: read and fetched one dataset at a time, below.
                    listed.Add(Path.GetFileName(path));
                    continue;
                }
                if (KeyRun.Open(path, number, sequence) is not { } run)
                {
                    broken.Add(dataset);
                    continue;
                }
                listed.Add(Path.GetFileName(path));
                _lists[dataset] = _lists[dataset] with { Runs = _lists[dataset].Runs.Add(run) };
            }
            // Records that were contributed before the node kept keys.
            broken.UnionWith(catalog.All.Where(d => KeyRules.Any(d) && !known.Contains(d.Number) && store.Manifest(d.Number) is var m && (m.Segments.Length > 0 || m.TailRows > 0)).Select(d => d.Number));
        }
        // Everything is swept before anything is written: what is made anew may come out under the same name.
        foreach (var dataset in broken)
        {
            foreach (var run in _lists.GetValueOrDefault(dataset, new KeyList([], 0)).Runs)
            {
                listed.Remove(Path.GetFileName(run.Path));
                run.Dispose();
            }
            if (_lists.TryGetValue(dataset, out var list))
                _lists[dataset] = list with { Runs = [] };
        }
        foreach (var path in Directory.EnumerateFiles(world.KeyRunDirectory).Where(p => !listed.Contains(Path.GetFileName(p))))
            File.Delete(path);
        await OpenSharedAsync(listed, broken, cancel).ConfigureAwait(false);
        var rebuilt = 0;
        foreach (var dataset in broken.Select(catalog.Find).OfType<Dataset>())
        {
            await KeyRebuild.RunAsync(this, world, store, catalog, writer, dataset, cancel).ConfigureAwait(false);
            rebuilt++;
        }
        return rebuilt;
    }

    /// <summary>Whether this machine merges in the background.</summary>
    internal bool KeepsUp => store.KeepsUp;

    /// <summary>The outcome of a commit is unknown; files it may have listed are the next start's to judge.</summary>
    internal bool Stopped => writer.Broken is not null;

    /// <summary>Begins the check of one contribution, or null where the dataset has no keys. Dispose it at the end.</summary>
    internal async Task<KeyCheck?> BeginAsync(Dataset dataset, CancellationToken cancel)
    {
        if (!KeyRules.Any(dataset))
            return null;
        var rules = KeyRules.For(dataset, await SecretAsync(dataset.Number, cancel).ConfigureAwait(false));
        return new KeyCheck(this, world, dataset, rules, await UseAsync(dataset.Number, cancel).ConfigureAwait(false));
    }

    internal async Task<byte[]> SecretAsync(long dataset, CancellationToken cancel) =>
        _secrets.TryGetValue(dataset, out var known) ? known : await writer.RunAsync(scope =>
        {
            using var command = scope.Command("""
                INSERT INTO key_state(dataset, secret, format, sequence) VALUES (@dataset, @secret, @format, 0)
                ON CONFLICT(dataset) DO UPDATE SET format = key_state.format RETURNING secret
                """);
            command.Set("@dataset", dataset);
            command.Set("@secret", RandomNumberGenerator.GetBytes(KeyHash.SecretBytes));
            command.Set("@format", (long)KeyRun.FormatVersion);
            var secret = (byte[])command.ExecuteScalar()!;
            scope.AfterCommit(() => _secrets[dataset] = secret);
            return secret;
        }, cancel).ConfigureAwait(false);

    /// <summary>The runs as they are now, each held until the caller disposes it.</summary>
    internal async ValueTask<KeyList> UseAsync(long dataset, CancellationToken cancel)
    {
        if (_stale.ContainsKey(dataset))
            await RefreshAsync(dataset, cancel).ConfigureAwait(false);
        lock (_lock)
        {
            var list = _lists.GetValueOrDefault(dataset, new KeyList([], 0));
            foreach (var run in list.Runs)
                run.TryUse();
            return list;
        }
    }

    /// <summary>Inside the transaction: lists a run, and takes away what it stands for.</summary>
    internal void InsertRun(WriteScope scope, long dataset, string path, long entries, IReadOnlyList<KeyRun>? merged = null)
    {
        var sequence = NextSequence(scope, dataset);
        foreach (var old in merged ?? [])
        {
            using var delete = scope.Command("DELETE FROM key_run WHERE number = @number");
            delete.Set("@number", old.Number);
            if (delete.ExecuteNonQuery() != 1)
                throw new InvalidOperationException("A run was merged twice.");
        }
        using var insert = scope.Command("INSERT INTO key_run(dataset, name, entries, sequence) VALUES (@dataset, @name, @entries, @sequence) RETURNING number");
        insert.Set("@dataset", dataset);
        insert.Set("@name", Path.GetFileNameWithoutExtension(path));
        insert.Set("@entries", entries);
        insert.Set("@sequence", sequence);
        var number = (long)insert.ExecuteScalar()!;
        scope.Tell(FeedTopic.Keys, dataset, sequence, 1);
        scope.AfterCommit(() => Change(dataset, sequence, KeyRun.Open(path, number, sequence)!, merged ?? []));
    }

    /// <summary>Inside the transaction: lists the keys of a small contribution.</summary>
    internal void InsertTail(WriteScope scope, long dataset, IEnumerable<KeyEntry> entries)
    {
        var sequence = NextSequence(scope, dataset);
        if (scope.Store.IsFar)
            InsertTogether(scope, dataset, sequence, [.. entries]);
        else
            InsertEach(scope, dataset, sequence, entries);
        scope.Tell(FeedTopic.Keys, dataset, sequence, 0);
        scope.AfterCommit(() => Change(dataset, sequence, null, []));
    }

    /// <summary>One statement, where each would be a way to a server and back under the writer's lock.</summary>
    private static void InsertTogether(WriteScope scope, long dataset, long sequence, KeyEntry[] entries)
    {
        using var insert = scope.Command("""
            INSERT INTO key_tail(dataset, hash, batch, ordinal, sequence) SELECT @dataset, hash, batch, ordinal, @sequence FROM unnest(@hashes, @batches, @ordinals) r(hash, batch, ordinal)
            """);
        insert.Set("@dataset", dataset).Set("@sequence", sequence).Set("@hashes", Array.ConvertAll(entries, e => Bytes(e.Hash)))
            .Set("@batches", Array.ConvertAll(entries, e => RecordId.Bytes(e.Batch))).Set("@ordinals", Array.ConvertAll(entries, e => (long)e.Ordinal));
        insert.ExecuteNonQuery();
    }

    private static void InsertEach(WriteScope scope, long dataset, long sequence, IEnumerable<KeyEntry> entries)
    {
        using var insert = scope.Command("INSERT INTO key_tail(dataset, hash, batch, ordinal, sequence) VALUES (@dataset, @hash, @batch, @ordinal, @sequence)");
        insert.Set("@dataset", dataset);
        insert.Set("@sequence", sequence);
        var hash = insert.Parameter("@hash");
        var batch = insert.Parameter("@batch");
        var ordinal = insert.Parameter("@ordinal");
        foreach (var entry in entries)
        {
            (hash.Value, batch.Value, ordinal.Value) = (Bytes(entry.Hash), RecordId.Bytes(entry.Batch), (long)entry.Ordinal);
            insert.ExecuteNonQuery();
        }
    }

    /// <summary>Runs in SQL that were listed after a commit; inside a transaction also those that the same group has just listed.</summary>
    internal static List<(long Number, long Dataset, string Name, long Sequence)> Runs(DbConnection connection, DbTransaction? transaction, long? dataset, long after)
    {
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "SELECT number, dataset, name, sequence FROM key_run WHERE (CAST(@dataset AS bigint) IS NULL OR dataset = @dataset) AND sequence > @after ORDER BY number";
        command.Set("@dataset", (object?)dataset ?? DBNull.Value);
        command.Set("@after", after);
        var runs = new List<(long, long, string, long)>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            runs.Add((reader.GetInt64(0), reader.GetInt64(1), reader.GetString(2), reader.GetInt64(3)));
        return runs;
    }

    /// <summary>Forgets every run and key of a dataset; its files go once nobody reads them.</summary>
    internal void Clear(WriteScope scope, long dataset)
    {
        foreach (var sql in new[] { "DELETE FROM key_run WHERE dataset = @dataset", "DELETE FROM key_tail WHERE dataset = @dataset", "UPDATE key_state SET format = @format WHERE dataset = @dataset" })
        {
            using var command = scope.Command(sql);
            command.Set("@dataset", dataset);
            if (sql.Contains("@format", StringComparison.Ordinal))
                command.Set("@format", (long)KeyRun.FormatVersion);
            command.ExecuteNonQuery();
        }
        scope.Tell(FeedTopic.Keys, dataset, -1, 1);
        scope.AfterCommit(() =>
        {
            lock (_lock)
            {
                var old = _lists.GetValueOrDefault(dataset, new KeyList([], 0));
                _lists[dataset] = old with { Runs = [] };
                foreach (var run in old.Runs)
                    run.Retire();
            }
        });
    }

    internal static byte[] Bytes(UInt128 hash)
    {
        var bytes = new byte[16];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt128BigEndian(bytes, hash);
        return bytes;
    }

    private void Change(long dataset, long sequence, KeyRun? added, IReadOnlyList<KeyRun> removed)
    {
        lock (_lock)
        {
            var list = _lists.GetValueOrDefault(dataset, new KeyList([], 0));
            if (Files is not null && (_stale.ContainsKey(dataset) || sequence != list.Sequence + 1))
            {
                // Something of another machine is missing in between, or it was read together with that already: the next reader reads it all.
                added?.Dispose();
                if (sequence > list.Sequence)
                    _stale[dataset] = true;
                return;
            }
            var runs = list.Runs.RemoveRange(removed);
            _lists[dataset] = new KeyList(added is null ? runs : runs.Add(added), sequence);
            foreach (var run in removed)
                run.Retire();
        }
        foreach (var run in removed)
            Forget(run);
        Listed?.Invoke(dataset);
    }

    private static long NextSequence(WriteScope scope, long dataset)
    {
        using var command = scope.Command("UPDATE key_state SET sequence = sequence + 1 WHERE dataset = @dataset RETURNING sequence");
        command.Set("@dataset", dataset);
        return (long)command.ExecuteScalar()!;
    }
}
