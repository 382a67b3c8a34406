using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Gongzhi.Ledger;

/// <summary>
/// A tree state in a directory of its own (never served): <c>tree</c> holds the last step, with the ids before it back to a multiple of
/// <see cref="IdBlock.Ids"/>, and is replaced whole; <c>ids/…</c> hold the older ids, a block a file; <c>lock</c> keeps a second process out.
/// </summary>
/// <remarks>
/// Blocks that a step fills are durable before the step itself. A crash in between leaves a block past the tree's size, which the step that
/// comes to fill it replaces.
/// </remarks>
public sealed class FileTreeState : ITreeState, IDisposable
{
    /// <summary>The longest step file read, in bytes: the options' largest step and its framing.</summary>
    private const int StepBytesMax = 256 * 1024 * 1024;
    private const int IdBytes = IdBlock.IdBytes;
    private const int HeadBytes = 8 + MerkleTree.HashBytes;

    private static readonly byte[] Magic = "gongzhi/tree-step/2\n"u8.ToArray();
    private readonly string _directory;
    private readonly string _tree;
    private readonly string _blocks;
    private readonly string _temporary;
    private readonly DurableFiles _files;
    private readonly FileStream _lock;
    private readonly SemaphoreSlim _turn = new(1, 1);
    // The ids of the last IdWindow entries; _recentOrder says which to forget first. Both under _turn.
    private readonly Dictionary<Guid, long> _recent = [];
    private readonly Queue<Guid> _recentOrder = new();
    // What the next step file begins with. Under _turn.
    private Ids _ids = Ids.None;
    private TreeHead? _head;

    /// <summary>Opens the directory, creating it when there is none, and holds its lock until disposed.</summary>
    /// <exception cref="IOException">Another process has it open.</exception>
    public FileTreeState(string directory) : this(directory, new DurableFiles())
    {
    }

    internal FileTreeState(string directory, DurableFiles files)
    {
        _files = files;
        _directory = Path.GetFullPath(directory);
        _files.CreateDirectory(_directory);
        _tree = Path.Combine(_directory, "tree");
        _blocks = Path.Combine(_directory, "ids");
        _lock = new FileStream(Path.Combine(_directory, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        _temporary = Path.Combine(_directory, ".tmp");
        DurableFiles.Sweep(_temporary);
    }

    /// <summary>Ids that are in no block yet, the digest of the last block, and how many blocks there are.</summary>
    private sealed record Ids(long Blocks, byte[] LastDigest, byte[] Loose)
    {
        public static Ids None { get; } = new(0, new byte[IdBlock.DigestBytes], []);

        /// <summary>With more ids, and the files of the blocks they fill.</summary>
        public Ids Plus(ReadOnlySpan<byte> added, Action<long, byte[]> filled)
        {
            byte[] loose = [.. Loose, .. added];
            var (blocks, digest, at) = (Blocks, LastDigest, 0);
            for (; loose.Length - at >= IdBlock.Ids * IdBytes; at += IdBlock.Ids * IdBytes)
                filled(blocks, IdBlock.Encode(blocks++, digest, loose.AsSpan(at, IdBlock.Ids * IdBytes), out digest));
            return new Ids(blocks, digest, loose[at..]);
        }
    }

    /// <inheritdoc />
    public async ValueTask<TreeStep?> LoadAsync(CancellationToken cancel = default)
    {
        await _turn.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            return Load();
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <inheritdoc />
    public async ValueTask<bool> TryAdvanceAsync(TreeStep step, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(step);
        if (step.Entries.Count == 0 || step.After.Size != step.Before.Size + step.Entries.Count)
            throw new ArgumentException("A step's sizes must differ by its entries.", nameof(step));
        await _turn.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            if (_head is null) Load();
            if (!_head!.Equals(step.Before)) return false;
            // Unknown until the write is known to have succeeded: a failed write may have persisted.
            _head = null;
            var blocks = new List<(string, ReadOnlyMemory<byte>)>();
            var after = _ids.Plus(IdsOf(step), (block, bytes) => blocks.Add((Path.Combine(_blocks, IdBlock.Name(block)), bytes)));
            if (blocks.Count > 0) _files.Write(_temporary, blocks);
            _files.Write(_temporary, [(_tree, Encode(step, _ids))]);
            (_head, _ids) = (step.After, after);
            for (var i = 0; i < step.Entries.Count; i++) Remember(step.Entries[i].Id, step.Before.Size + i);
            return true;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <inheritdoc />
    public async ValueTask<IReadOnlyDictionary<Guid, long>> FindAsync(IReadOnlyCollection<Guid> ids, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(ids);
        await _turn.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            if (_head is null) Load();
            var found = new Dictionary<Guid, long>();
            foreach (var id in ids)
            {
                if (_recent.TryGetValue(id, out var index)) found[id] = index;
            }
            return found;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Releases the directory.</summary>
    public void Dispose()
    {
        _lock.Dispose();
        _turn.Dispose();
    }

    private TreeStep? Load()
    {
        _recent.Clear();
        _recentOrder.Clear();
        byte[]? bytes;
        try
        {
            bytes = DurableFiles.ReadOrNull(_tree, StepBytesMax);
        }
        catch (InvalidDataException tooLong)
        {
            throw new LedgerCorruptException("state/tree", tooLong.Message);
        }
        // What is read here is built upon; its name may be left from a step whose last flush failed.
        if (bytes is not null) _files.FlushDirectory(_directory);
        if (bytes is null)
        {
            (_head, _ids) = (TreeHead.Empty, Ids.None);
            return null;
        }
        var (step, ids) = Decode(bytes) ?? throw new LedgerCorruptException("state/tree", "does not read back as a step that was written.");
        LoadBlocks(ids);
        for (var i = 0; i < ids.Loose.Length / IdBytes; i++) Remember(IdAt(ids.Loose, i), (ids.Blocks * IdBlock.Ids) + i);
        for (var i = 0; i < step.Entries.Count; i++) Remember(step.Entries[i].Id, step.Before.Size + i);
        // The blocks that this step filled were written before it; the same bytes come out again, and tell their digests.
        _ids = ids.Plus(IdsOf(step), CheckFilled);
        _head = step.After;
        return step;
    }

    /// <summary>The blocks of the window, from the last back, each checked by the digest that the one behind it holds.</summary>
    private void LoadBlocks(Ids ids)
    {
        var digest = ids.LastDigest;
        var blocks = new Stack<(long Block, ReadOnlyMemory<byte> Ids)>();
        for (var block = ids.Blocks - 1; block >= Math.Max(0, ids.Blocks - IdBlock.Kept); block--)
        {
            if (!IdBlock.TryDecode(ReadBlock(block), block, digest, out var found, out digest))
                throw new LedgerCorruptException($"state/ids/{IdBlock.Name(block)}", "does not hold the ids that were committed.");
            blocks.Push((block, found));
        }
        foreach (var (block, found) in blocks)
        {
            for (var i = 0; i < IdBlock.Ids; i++) Remember(IdAt(found.Span, i), (block * IdBlock.Ids) + i);
        }
    }

    private void CheckFilled(long block, byte[] expected)
    {
        if (!ReadBlock(block).AsSpan().SequenceEqual(expected))
            throw new LedgerCorruptException($"state/ids/{IdBlock.Name(block)}", "does not hold the ids that were committed.");
    }

    private byte[] ReadBlock(long block)
    {
        var file = $"state/ids/{IdBlock.Name(block)}";
        try
        {
            return DurableFiles.ReadOrNull(Path.Combine(_blocks, IdBlock.Name(block)), IdBlock.FileBytes) ?? throw new LedgerCorruptException(file, "is missing.");
        }
        catch (InvalidDataException tooLong)
        {
            throw new LedgerCorruptException(file, tooLong.Message);
        }
    }

    private static Guid IdAt(ReadOnlySpan<byte> ids, int i) => new(ids.Slice(i * IdBytes, IdBytes), bigEndian: true);

    private static byte[] IdsOf(TreeStep step)
    {
        var bytes = new byte[step.Entries.Count * IdBytes];
        for (var i = 0; i < step.Entries.Count; i++)
            step.Entries[i].Id.TryWriteBytes(bytes.AsSpan(i * IdBytes), bigEndian: true, out _);
        return bytes;
    }

    private void Remember(Guid id, long index)
    {
        _recent[id] = index;
        _recentOrder.Enqueue(id);
        if (_recentOrder.Count > TileLogOptions.IdWindow) _recent.Remove(_recentOrder.Dequeue());
    }

    // Magic, both heads, digest of the last id block, ids behind it (their number is that of entries before the step, modulo a block), count,
    // then id, length and bytes of each entry, all big-endian; last the SHA-256 of everything before.
    private static byte[] Encode(TreeStep step, Ids ids)
    {
        var bytes = new byte[Magic.Length + (2 * HeadBytes) + IdBlock.DigestBytes + ids.Loose.Length + 4 + step.Entries.Sum(e => IdBytes + 2 + e.Entry.Length) + 32];
        Magic.CopyTo(bytes, 0);
        var at = Magic.Length;
        foreach (var head in (ReadOnlySpan<TreeHead>)[step.Before, step.After])
        {
            BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(at), head.Size);
            head.Root.Span.CopyTo(bytes.AsSpan(at + 8));
            at += HeadBytes;
        }
        ids.LastDigest.CopyTo(bytes, at);
        ids.Loose.CopyTo(bytes, at + IdBlock.DigestBytes);
        at += IdBlock.DigestBytes + ids.Loose.Length;
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(at), step.Entries.Count);
        at += 4;
        foreach (var (id, entry) in step.Entries)
        {
            id.TryWriteBytes(bytes.AsSpan(at), bigEndian: true, out _);
            BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(at + IdBytes), checked((ushort)entry.Length));
            entry.Span.CopyTo(bytes.AsSpan(at + IdBytes + 2));
            at += IdBytes + 2 + entry.Length;
        }
        SHA256.HashData(bytes.AsSpan(0, at), bytes.AsSpan(at));
        return bytes;
    }

    private static (TreeStep Step, Ids Ids)? Decode(byte[] bytes)
    {
        var fixedBytes = Magic.Length + (2 * HeadBytes) + IdBlock.DigestBytes;
        if (bytes.Length < fixedBytes + 4 + 32 || !bytes.AsSpan().StartsWith(Magic)) return null;
        var body = bytes.AsMemory(0, bytes.Length - 32);
        if (!SHA256.HashData(body.Span).AsSpan().SequenceEqual(bytes.AsSpan(body.Length))) return null;
        var before = ReadHead(body[Magic.Length..]);
        var after = ReadHead(body[(Magic.Length + HeadBytes)..]);
        if (before.Size < 0) return null;
        var loose = (int)(before.Size % IdBlock.Ids) * IdBytes;
        var rest = body[fixedBytes..];
        if (rest.Length < loose + 4) return null;
        var ids = new Ids(before.Size / IdBlock.Ids, body[(fixedBytes - IdBlock.DigestBytes)..fixedBytes].ToArray(), rest[..loose].ToArray());
        var count = BinaryPrimitives.ReadInt32BigEndian(rest.Span[loose..]);
        rest = rest[(loose + 4)..];
        var entries = new List<PendingEntry>();
        for (var i = 0; i < count; i++)
        {
            if (rest.Length < IdBytes + 2) return null;
            var id = new Guid(rest.Span[..IdBytes], bigEndian: true);
            var length = BinaryPrimitives.ReadUInt16BigEndian(rest.Span[IdBytes..]);
            if (rest.Length < IdBytes + 2 + length) return null;
            entries.Add(new PendingEntry(id, rest.Slice(IdBytes + 2, length)));
            rest = rest[(IdBytes + 2 + length)..];
        }
        return rest.IsEmpty && count > 0 && after.Size == before.Size + count ? (new TreeStep(before, after, entries), ids) : null;
    }

    private static TreeHead ReadHead(ReadOnlyMemory<byte> bytes) =>
        new(BinaryPrimitives.ReadInt64BigEndian(bytes.Span), bytes.Slice(8, MerkleTree.HashBytes));
}
