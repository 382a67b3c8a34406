using System.Data.Common;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Records;

/// <summary>
/// The log's part of a check: the files against the signed checkpoint, and the entries kept in the database against the log. Where two of
/// bundle, tile and database agree, the third is what was changed.
/// </summary>
internal sealed class CheckLog(World world, NoteVerifier? key, CheckFindings findings, IProgress<RecordCheckProgress>? progress)
{
    private readonly ITileSource _files = LedgerFiles.Look(world);
    private AuditReport? _audit;
    private long _size;

    public long Entries { get; private set; }

    /// <summary>Indexes of entries whose copy in the database is not the log's.</summary>
    public HashSet<long> Broken { get; } = [];

    public async Task AuditAsync(CancellationToken cancel)
    {
        if (!await ThereAsync(cancel).ConfigureAwait(false))
            return; // Nothing was ever signed; CompareAsync demands that the database say so too.
        if ((key ?? LedgerKeys.Look(world)) is not { } trusted)
        {
            findings.Add(new CheckFinding(CheckKind.Checkpoint, "keys/ledger.skey",
                "The ledger's key is missing or cannot be read, so no signature can be checked.", "存证日志密钥缺失或无法读取，因此无法核对签名。"));
            return;
        }
        _audit = await LogAuditor.AuditAsync(_files, trusted, default, cancel).ConfigureAwait(false);
        _size = _audit.Size;
    }

    private async Task<bool> ThereAsync(CancellationToken cancel)
    {
        try
        {
            return await _files.ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, cancel).ConfigureAwait(false) is not null || LedgerFiles.Tiles(world).Any();
        }
        catch (InvalidDataException)
        {
            return true; // Too long for a checkpoint, which the audit says.
        }
    }

    /// <summary>Compares every entry of the log with the database's copy, and the head with the one the database committed.</summary>
    public async Task CompareAsync(DbConnection connection, DbTransaction snapshot, CancellationToken cancel)
    {
        Head(connection, snapshot);
        using var command = connection.CreateCommand();
        command.Transaction = snapshot;
        command.CommandText = "SELECT log_index, entry FROM ledger_pending WHERE log_index < @size ORDER BY log_index";
        command.Set("@size", _size);
        using var reader = command.ExecuteReader();
        var more = reader.Read();
        for (long bundle = 0; bundle << 8 < _size; bundle++)
        {
            cancel.ThrowIfCancellationRequested();
            var width = (int)Math.Min(TilePath.FullWidth, _size - (bundle << 8));
            var (entries, entriesFile) = await BundleAsync(bundle, width, cancel).ConfigureAwait(false);
            var (tile, tileFile) = await TileAsync(bundle, width, cancel).ConfigureAwait(false);
            for (var i = 0; i < width; i++)
            {
                var index = (bundle << 8) + i;
                byte[]? kept = null;
                while (more && reader.GetInt64(0) <= index)
                {
                    if (reader.GetInt64(0) == index)
                        kept = reader.GetValue(1) as byte[] ?? [];
                    more = reader.Read();
                }
                Compare(index, kept, entries?[i], entriesFile, tile, i, tileFile);
            }
            Entries += width;
            progress?.Report(new RecordCheckProgress(CheckStage.Ledger, Entries, _size));
        }
        await LeftoversAsync(cancel).ConfigureAwait(false);
        // Last, since the comparison above tells more exactly which of the files it is.
        if (_audit?.Break is { } broken)
            Add(broken);
    }

    /// <summary>The entry at an index as the log has it, or null where it cannot be read.</summary>
    public async Task<byte[]?> EntryAsync(long index, CancellationToken cancel)
    {
        if (index >= _size)
            return null;
        var (entries, _) = await BundleAsync(index >> 8, (int)Math.Min(TilePath.FullWidth, _size - (index >> 8 << 8)), cancel).ConfigureAwait(false);
        return entries?[(int)(index & 0xFF)].ToArray();
    }

    public static long? IndexOf(DbConnection connection, Guid entry)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT log_index FROM ledger_pending WHERE id = @id";
        command.Set("@id", RecordId.Bytes(entry));
        return command.ExecuteScalar() is long index ? index : null;
    }

    private void Head(DbConnection connection, DbTransaction snapshot)
    {
        using var command = connection.CreateCommand();
        command.Transaction = snapshot;
        command.CommandText = "SELECT size, root FROM log_state WHERE one = 1";
        using var reader = command.ExecuteReader();
        var (size, root) = reader.Read() ? (reader.GetInt64(0), reader.GetValue(1) as byte[] ?? []) : (0, MerkleTree.EmptyRoot.ToArray());
        if (_audit is null or { Size: 0, Break: not null })
        {
            // Without a checkpoint to trust, the head that the database committed says how far the files must go.
            _size = size;
            if (_audit is null && size > 0)
            {
                findings.Add(new CheckFinding(CheckKind.Checkpoint, "ledger/checkpoint",
                    $"The checkpoint is missing, although the database has committed a log of {size} entries.", $"缺少检查点，而数据库已确认存证日志有 {size} 个条目。"));
            }
            return;
        }
        if (size < _audit.Size || (size == _audit.Size && !root.AsSpan().SequenceEqual(_audit.Root.Span)))
        {
            findings.Add(new CheckFinding(CheckKind.LedgerEntry, "node.db log_state",
                $"The database says that the log has {size} entries, which is not what the checkpoint of size {_audit.Size} was signed for.",
                $"数据库记载存证日志有 {size} 个条目，与大小为 {_audit.Size} 的已签名检查点不符。"));
        }
    }

    private void Compare(long index, byte[]? kept, ReadOnlyMemory<byte>? entry, string entriesFile, byte[]? tile, int i, string tileFile)
    {
        var inTile = tile is null ? default : tile.AsSpan(i * MerkleTree.HashBytes, MerkleTree.HashBytes);
        var fromLog = entry is null ? null : MerkleTree.LeafHash(entry.Value.Span);
        var fromDatabase = kept is null ? null : MerkleTree.LeafHash(kept);
        var (logFits, databaseFits) = (inTile.SequenceEqual(fromLog), inTile.SequenceEqual(fromDatabase));
        if (logFits && databaseFits)
            return;
        var agree = fromLog is not null && fromLog.AsSpan().SequenceEqual(fromDatabase);
        if (agree)
        {
            Add(new LogBreak(tileFile, $"does not hold the hash of entry {index}."));
            return;
        }
        if (!logFits && entry is not null)
            Add(new LogBreak(entriesFile, $"entry {index} is not the one that was committed."), index);
        else if (entry is null)
            Add(new LogBreak(entriesFile, "is missing or is not a bundle of entries."));
        if (tile is null)
            Add(new LogBreak(tileFile, "is missing or is not a tile of its width."));
        if (databaseFits || (tile is null && entry is null))
            return;
        Broken.Add(index);
        findings.Add(new CheckFinding(CheckKind.LedgerEntry, "node.db ledger_pending",
            kept is null ? $"The database has lost its copy of ledger entry {index}." : $"The database's copy of ledger entry {index} is not the entry in the log.",
            kept is null ? $"数据库缺少存证日志条目 {index} 的副本。" : $"数据库中存证日志条目 {index} 的副本与存证日志中的条目不符。") { Index = index });
    }

    /// <summary>Narrower tiles and bundles that the log has grown past: each must be the beginning of the wider one. Readers of older checkpoints use them.</summary>
    private async Task LeftoversAsync(CancellationToken cancel)
    {
        foreach (var name in LedgerFiles.Tiles(world))
        {
            cancel.ThrowIfCancellationRequested();
            if (!TilePath.TryParse(name, out var tile) || tile.Width == TilePath.FullWidth)
                continue;
            var current = tile.Level == TilePath.EntriesLevel ? _size : _size >> (8 * tile.Level);
            var width = (int)Math.Clamp(current - (tile.Index << 8), 0, TilePath.FullWidth);
            if (tile.Width >= width)
                continue; // The current one, which was compared, or one of a step under way.
            var (wider, wide) = await ReadAsync((tile with { Width = width }).ToString(), (tile with { Width = TilePath.FullWidth }).ToString(), EntryBundle.BytesMax, cancel).ConfigureAwait(false);
            // A file that is itself found broken tells nothing about a narrower one.
            if (wide is null || _audit?.Break?.File == wider || findings.Names(Kind(wider), "ledger/" + wider))
                continue;
            // The running node may have just taken it away: the full tile is there.
            if (await BytesAsync(name, cancel).ConfigureAwait(false) is not { } narrow)
                continue;
            if (!wide.AsSpan().StartsWith(narrow) || (tile.Level >= 0 && narrow.Length != tile.Width * MerkleTree.HashBytes))
                Add(new LogBreak(name, "is not the beginning of what the log has there now."));
        }
    }

    /// <summary>Null when it is gone; cut off where no file of the log goes on.</summary>
    private async Task<byte[]?> BytesAsync(string name, CancellationToken cancel)
    {
        try
        {
            return await _files.ReadAsync(name, EntryBundle.BytesMax, cancel).ConfigureAwait(false);
        }
        catch (InvalidDataException)
        {
            return new byte[EntryBundle.BytesMax];
        }
    }

    private static CheckKind Kind(string file) =>
        file == TilePath.Checkpoint ? CheckKind.Checkpoint
        : file.StartsWith("tile/entries/", StringComparison.Ordinal) ? CheckKind.EntryBundle : CheckKind.Tile;

    private void Add(LogBreak broken, long? index = null)
    {
        var kind = Kind(broken.File);
        var place = "ledger/" + broken.File;
        if (findings.Names(kind, place))
            return;
        var chinese = kind switch { CheckKind.Checkpoint => "检查点", CheckKind.EntryBundle => "条目包", _ => "哈希块" };
        findings.Add(new CheckFinding(kind, place, $"{broken.File} {broken.Reason}", $"存证日志的{chinese} {broken.File} 与所签名的内容不符。") { Index = index });
    }

    private async Task<(IReadOnlyList<ReadOnlyMemory<byte>>?, string)> BundleAsync(long bundle, int width, CancellationToken cancel)
    {
        var (file, bytes) = await ReadAsync(TilePath.Entries(bundle, width), TilePath.Entries(bundle), EntryBundle.BytesMax, cancel).ConfigureAwait(false);
        return (bytes is not null && EntryBundle.TryDecode(bytes, width, out var entries, exact: file == TilePath.Entries(bundle, width)) ? entries : null, file);
    }

    private async Task<(byte[]?, string)> TileAsync(long bundle, int width, CancellationToken cancel)
    {
        var (file, bytes) = await ReadAsync(TilePath.Tile(0, bundle, width), TilePath.Tile(0, bundle), TilePath.FullWidth * MerkleTree.HashBytes, cancel).ConfigureAwait(false);
        return (bytes?.Length >= width * MerkleTree.HashBytes ? bytes : null, file);
    }

    /// <summary>A partial file may be gone once the full one is there.</summary>
    private async Task<(string File, byte[]? Bytes)> ReadAsync(string path, string full, int bytesMax, CancellationToken cancel)
    {
        try
        {
            return await _files.ReadAsync(path, bytesMax, cancel).ConfigureAwait(false) is { } bytes
                ? (path, bytes)
                : await _files.ReadAsync(full, bytesMax, cancel).ConfigureAwait(false) is { } all ? (full, all) : (path, null);
        }
        catch (InvalidDataException)
        {
            return (path, null);
        }
    }
}
