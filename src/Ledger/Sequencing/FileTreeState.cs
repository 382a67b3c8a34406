using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Gongzhi.Ledger;

/// <summary>
/// A tree state in a directory of its own (never served): <c>tree</c> holds the last step and is replaced whole; <c>ids</c> holds
/// the 16-byte id of entry i at offset 16·i; <c>lock</c> keeps a second process out.
/// </summary>
/// <remarks>
/// The ids of a step are written and flushed before the step itself. A crash in between leaves ids past the tree's size, which the
/// next step overwrites.
/// </remarks>
public sealed class FileTreeState : ITreeState, IDisposable
{
    /// <summary>The longest step file read, in bytes: the options' largest step and its framing.</summary>
    private const int StepBytesMax = 256 * 1024 * 1024;
    private const int IdBytes = 16;
    private const int HeadBytes = 8 + MerkleTree.HashBytes;

    private static readonly byte[] Magic = "gongzhi/tree-step/1\n"u8.ToArray();
    private readonly string _tree;
    private readonly string _ids;
    private readonly string _temporary;
    private readonly FileStream _lock;
    private readonly SemaphoreSlim _turn = new(1, 1);
    // The ids of the last IdWindow entries; _recentOrder says which to forget first. Both under _turn.
    private readonly Dictionary<Guid, long> _recent = [];
    private readonly Queue<Guid> _recentOrder = new();
    private TreeHead? _head;

    /// <summary>Opens the directory, creating it when there is none, and holds its lock until disposed.</summary>
    /// <exception cref="IOException">Another process has it open.</exception>
    public FileTreeState(string directory)
    {
        directory = Path.GetFullPath(directory);
        DurableFile.CreateDirectory(directory);
        _tree = Path.Combine(directory, "tree");
        _ids = Path.Combine(directory, "ids");
        _lock = new FileStream(Path.Combine(directory, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        _temporary = Path.Combine(directory, ".tmp");
        DurableFile.Sweep(_temporary);
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
            WriteIds(step);
            DurableFile.Write(_temporary, [(_tree, Encode(step))]);
            _head = step.After;
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
            bytes = DurableFile.ReadOrNull(_tree, StepBytesMax);
        }
        catch (InvalidDataException tooLong)
        {
            throw new LedgerCorruptException("state/tree", tooLong.Message);
        }
        var step = bytes is null ? null
            : Decode(bytes) ?? throw new LedgerCorruptException("state/tree", "does not read back as a step that was written.");
        var head = step?.After ?? TreeHead.Empty;
        if (head.Size > 0) LoadIds(head.Size);
        _head = head;
        return step;
    }

    private void LoadIds(long size)
    {
        if (!File.Exists(_ids)) throw new LedgerCorruptException("state/ids", "is missing.");
        using var handle = File.OpenHandle(_ids);
        if (RandomAccess.GetLength(handle) < size * IdBytes)
            throw new LedgerCorruptException("state/ids", $"is shorter than the {size} ids it must hold.");
        var first = Math.Max(0, size - TileLogOptions.IdWindow);
        var bytes = new byte[(size - first) * IdBytes];
        var read = 0;
        while (read < bytes.Length)
        {
            var n = RandomAccess.Read(handle, bytes.AsSpan(read), (first * IdBytes) + read);
            if (n == 0) throw new LedgerCorruptException("state/ids", "grew shorter while it was read.");
            read += n;
        }
        for (var i = 0; i < bytes.Length / IdBytes; i++)
            Remember(new Guid(bytes.AsSpan(i * IdBytes, IdBytes), bigEndian: true), first + i);
    }

    private void WriteIds(TreeStep step)
    {
        var bytes = new byte[step.Entries.Count * IdBytes];
        for (var i = 0; i < step.Entries.Count; i++)
            step.Entries[i].Id.TryWriteBytes(bytes.AsSpan(i * IdBytes), bigEndian: true, out _);
        var isNew = !File.Exists(_ids);
        using (var handle = File.OpenHandle(_ids, FileMode.OpenOrCreate, FileAccess.Write))
        {
            RandomAccess.Write(handle, bytes, step.Before.Size * IdBytes);
            RandomAccess.FlushToDisk(handle);
        }
        if (isNew) DurableFile.FlushDirectory(Path.GetDirectoryName(_ids)!);
    }

    private void Remember(Guid id, long index)
    {
        _recent[id] = index;
        _recentOrder.Enqueue(id);
        if (_recentOrder.Count > TileLogOptions.IdWindow) _recent.Remove(_recentOrder.Dequeue());
    }

    // Magic, both heads, count, then id, length and bytes of each entry, all big-endian; last the SHA-256 of everything before.
    private static byte[] Encode(TreeStep step)
    {
        var bytes = new byte[Magic.Length + (2 * HeadBytes) + 4 + step.Entries.Sum(e => IdBytes + 2 + e.Entry.Length) + 32];
        Magic.CopyTo(bytes, 0);
        var at = Magic.Length;
        foreach (var head in (ReadOnlySpan<TreeHead>)[step.Before, step.After])
        {
            BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(at), head.Size);
            head.Root.Span.CopyTo(bytes.AsSpan(at + 8));
            at += HeadBytes;
        }
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

    private static TreeStep? Decode(byte[] bytes)
    {
        var fixedBytes = Magic.Length + (2 * HeadBytes) + 4;
        if (bytes.Length < fixedBytes + 32 || !bytes.AsSpan().StartsWith(Magic)) return null;
        var body = bytes.AsMemory(0, bytes.Length - 32);
        if (!SHA256.HashData(body.Span).AsSpan().SequenceEqual(bytes.AsSpan(body.Length))) return null;
        var before = ReadHead(body[Magic.Length..]);
        var after = ReadHead(body[(Magic.Length + HeadBytes)..]);
        var count = BinaryPrimitives.ReadInt32BigEndian(body.Span[(fixedBytes - 4)..]);
        var rest = body[fixedBytes..];
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
        return rest.IsEmpty && count > 0 && before.Size >= 0 && after.Size == before.Size + count
            ? new TreeStep(before, after, entries)
            : null;
    }

    private static TreeHead ReadHead(ReadOnlyMemory<byte> bytes) =>
        new(BinaryPrimitives.ReadInt64BigEndian(bytes.Span), bytes.Slice(8, MerkleTree.HashBytes));
}
