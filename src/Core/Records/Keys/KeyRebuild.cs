using Gongzhi.Core.Catalog;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records.Keys;

/// <summary>Makes a dataset's runs anew from its records: when a file is missing or of another format, or when the records are older than the index.</summary>
internal static class KeyRebuild
{
    /// <summary>Keys sorted in memory at once (32 bytes each); more make several runs, which the merge joins later.</summary>
    private const int KeysAtOnce = 2_097_152;

    public static async Task RunAsync(
        KeyIndex index, World world, RecordStore store, Catalog.Catalog catalog, NodeWriter writer, Dataset dataset, CancellationToken cancel)
    {
        var rules = KeyRules.For(dataset, await index.SecretAsync(dataset.Number, cancel).ConfigureAwait(false));
        var keys = new Pending(world);
        // A fold or a merge in between would move rows from where they are still to be looked for to where that was done.
        using (await store.ReshapeAsync(cancel).ConfigureAwait(false))
        {
            foreach (var segment in store.Manifest(dataset.Number).Segments)
            {
                using var file = await store.Segments.FetchAsync([segment.Name], cancel).ConfigureAwait(false);
                using var reader = new SegmentReader(Version(catalog, dataset, segment.SchemaVersion), segment);
                for (var g = 0; g < reader.RowGroups; g++)
                {
                    cancel.ThrowIfCancellationRequested();
                    if (reader.Read(g) is { } rows)
                        keys.Add(rows, rules);
                }
            }
            foreach (var version in store.ReadTail(dataset.Number).GroupBy(r => RowDecoder.SchemaVersion(r.Row)))
                keys.Add(RowDecoder.Decode(Version(catalog, dataset, version.Key), [.. version]), rules);
            keys.Seal();
        }
        foreach (var (path, _) in keys.Runs)
            await index.PublishAsync(path, cancel).ConfigureAwait(false);
        await writer.RunAsync(scope =>
        {
            index.Clear(scope, dataset.Number);
            foreach (var (path, count) in keys.Runs)
                index.InsertRun(scope, dataset.Number, path, count);
        }, cancel).ConfigureAwait(false);
    }

    private static Dataset Version(Catalog.Catalog catalog, Dataset dataset, int version) =>
        catalog.Find(dataset.Id, version) ?? throw new InvalidDataException($"Version {version} of {dataset.Id} is not known.");

    private sealed class Pending(World world)
    {
        private readonly List<(UInt128 Hash, ulong Position)> _entries = [];
        private readonly List<Guid> _batches = [];
        private readonly Dictionary<Guid, ulong> _numbers = [];

        public List<(string Path, long Count)> Runs { get; } = [];

        public void Add(RowColumns rows, KeyRules rules)
        {
            var hashes = rules.Hash(rows);
            for (var r = 0; r < rows.Rows; r++)
            {
                if (!_numbers.TryGetValue(rows.BatchOf(r), out var number))
                {
                    _numbers[rows.BatchOf(r)] = number = (ulong)_batches.Count;
                    _batches.Add(rows.BatchOf(r));
                }
                foreach (var hash in hashes.ByRule.Select(h => h[r]).Where(h => h != UInt128.Zero))
                    _entries.Add((hash, number << 32 | rows.OrdinalOf(r)));
            }
            if (_entries.Count >= KeysAtOnce)
                Seal();
        }

        public void Seal()
        {
            if (_entries.Count == 0)
                return;
            _entries.Sort();
            Runs.Add((KeyRun.Write(world, _entries.Count, _batches, _entries), _entries.Count));
            _entries.Clear();
            _batches.Clear();
            _numbers.Clear();
        }
    }
}
