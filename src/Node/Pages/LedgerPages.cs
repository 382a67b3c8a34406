using System.Buffers.Binary;
using System.Formats.Cbor;
using System.Globalization;
using System.Text;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Records;
using Gongzhi.Core.Witnessing;
using Gongzhi.Ledger;
using Gongzhi.Node.Web;
using Gongzhi.Ui;
using Gongzhi.Ui.Views;
using Gongzhi.Verifier;

namespace Gongzhi.Node.Pages;

/// <summary>The ledger for people: its state, its last entries, and a check of a proof file.</summary>
internal static class LedgerPages
{
    private const int PageSize = 20;

    /// <summary>Bytes of a proof file: a row proof holds one row, and rows above a few hundred KiB are rare; larger ones go to gongzhi-verify.</summary>
    private const int ProofBytesMax = 1 << 20;

    private const int FormBytesMax = ProofBytesMax + (64 << 10);

    public static void MapLedgerPages(this IEndpointRouteBuilder pages)
    {
        pages.MapGet("/ledger", ShowAsync).WithName("page-ledger").AllowAnonymous();
        pages.MapGet("/ledger/proof/{index:long:min(0)}", ProveAsync).WithName("page-ledger-proof").AllowAnonymous();
        pages.MapGet("/ledger/proof/{index:long:min(0)}.json", ProveAsJsonAsync).WithName("ledgerEntry").AllowAnonymous().Produces<ProvenEntry>().ProducesProblem(404);
        // Where a reload or a change of language leads after a check.
        pages.MapGet("/ledger/check", () => Results.LocalRedirect("/ledger#check")).WithName("page-ledger-check").AllowAnonymous();
        pages.MapPost("/ledger/check", CheckAsync).WithName("page-ledger-check-form").AllowAnonymous().AcceptsBody(FormBytesMax).AddEndpointFilter(PageForms.RequireToken);
    }

    /// <summary>The state under the last signature; null while there is no entry.</summary>
    public static CheckpointItem? Latest(Sequencer sequencer, CosignedCheckpoint cosigned, bool withNote = false)
    {
        var note = sequencer.Log.CurrentCheckpoint;
        if (!SignedNote.TryParse(note.Span, out var signed) || !Checkpoint.TryParse(signed.Text.Span, out var state) || state.Size == 0)
            return null;
        return new CheckpointItem(state.Size, Convert.ToBase64String(state.Root.Span), null, Witnessed(sequencer.Log.Verifier, cosigned), withNote ? Encoding.UTF8.GetString(note.Span) : null);
    }

    /// <summary>Cosignatures were verified before they were kept.</summary>
    private static WitnessedItem? Witnessed(NoteVerifier own, CosignedCheckpoint cosigned) =>
        cosigned.Find() is { } found && SignedNote.TryParse(found.Note, out var signed) && Checkpoint.TryParse(signed.Text.Span, out var state)
            && signed.Signatures.Where(s => s.Name != own.Name || s.KeyId != own.KeyId).Select(s => s.Name).Distinct().ToList() is { Count: > 0 } names
            ? new WitnessedItem(state.Size, found.Time, names) : null;

    private static async Task<IResult> ShowAsync(string? before, HttpContext http, Sequencer sequencer, CosignedCheckpoint cosigned, Catalog catalog, CancellationToken cancel) =>
        Portal.Page<LedgerView>(http, Shown.Ready(await ModelAsync(before, sequencer, cosigned, catalog, cancel).ConfigureAwait(false)));

    private static async Task<IResult> ProveAsync(long index, Sequencer sequencer, CancellationToken cancel)
    {
        if (index >= sequencer.Log.Head.Size)
            return Problem.NotFound("ledger.noEntry", "The ledger has no entry of this number yet.").ToResult();
        var proof = await sequencer.Log.ProveEntryAsync(index, cancel).ConfigureAwait(false);
        return Results.File(proof.Encode(), "text/plain; charset=utf-8", string.Create(CultureInfo.InvariantCulture, $"entry-{index}.tlog-proof"));
    }

    /// <summary>The entry too, so that it can be checked without the log: <c>gongzhi-verify entry</c>.</summary>
    private static async Task<IResult> ProveAsJsonAsync(long index, Sequencer sequencer, CancellationToken cancel)
    {
        if (index >= sequencer.Log.Head.Size)
            return Problem.NotFound("ledger.noEntry", "The ledger has no entry of this number yet.").ToResult();
        var entry = await sequencer.Log.ReadEntryAsync(index, cancel).ConfigureAwait(false);
        var proof = await sequencer.Log.ProveEntryAsync(index, cancel).ConfigureAwait(false);
        return Results.Json(new ProvenEntry(index, Convert.ToBase64String(entry.Span), Encoding.UTF8.GetString(proof.Encode())));
    }

    internal sealed record ProvenEntry(long Index, string Entry, string TlogProof);

    private static async Task<IResult> CheckAsync(HttpContext http, Sequencer sequencer, CosignedCheckpoint cosigned, Catalog catalog, CancellationToken cancel)
    {
        var form = await http.Request.ReadFormAsync(cancel).ConfigureAwait(false);
        var model = await ModelAsync(null, sequencer, cosigned, catalog, cancel).ConfigureAwait(false);
        if (form.Files["proof"] is not { Length: > 0 } file)
        {
            return Portal.Page<LedgerView>(http, Shown.Ready(model with { Errors = [new FieldError("proof", PageText.Of("Check.NoFile"))] }), StatusCodes.Status422UnprocessableEntity);
        }
        var name = file.FileName.Length <= 100 ? file.FileName : file.FileName[..100];
        if (file.Length > ProofBytesMax)
            return Portal.Page<LedgerView>(http, Shown.Ready(model with { Result = new CheckResult(CheckVerdict.Unreadable, name) }));
        var bytes = new byte[file.Length];
        var stream = file.OpenReadStream();
        await using (stream.ConfigureAwait(false))
            await stream.ReadExactlyAsync(bytes, cancel).ConfigureAwait(false);
        var result = await VerdictAsync(bytes, name, sequencer, cancel).ConfigureAwait(false);
        return Portal.Page<LedgerView>(http, Shown.Ready(model with { Result = result }));
    }

    /// <summary>Checks a row's proof, a receipt or a tlog-proof against this ledger's key, with the same code as gongzhi-verify.</summary>
    private static async Task<CheckResult> VerdictAsync(byte[] bytes, string name, Sequencer sequencer, CancellationToken cancel)
    {
        var key = sequencer.Log.Verifier;
        if (TlogProof.TryParse(bytes, out var proof))
        {
            if (!Checkpoint.TryOpen(proof.CheckpointNote.Span, key, out var signed))
                return new CheckResult(CheckVerdict.Unknown, name);
            if (proof.Index >= signed.Size || signed.Size > sequencer.Log.Head.Size)
                return new CheckResult(CheckVerdict.Altered, name);
            var entry = await sequencer.Log.ReadEntryAsync(proof.Index, cancel).ConfigureAwait(false);
            return proof.Verify(MerkleTree.LeafHash(entry.Span), key, out _)
                ? new CheckResult(CheckVerdict.Genuine, name, null, new SealModel(SealSubject.Decision, proof.Index, signed.Size, null, Convert.ToBase64String(signed.Root.Span)))
                : new CheckResult(CheckVerdict.Altered, name);
        }
        var verdict = RowCheck.Check(bytes, key);
        var subject = SealSubject.Record;
        if (verdict.Outcome == Outcome.Unusable && ReceiptCheck.Check(bytes, key) is { Outcome: not Outcome.Unusable } receipt)
            (verdict, subject) = (receipt, SealSubject.Batch);
        var detail = verdict.In(PageText.Chinese);
        return verdict.Outcome switch
        {
            Outcome.Proven => new CheckResult(CheckVerdict.Genuine, name, detail, new SealModel(
                subject, verdict.Facts["entryIndex"] as long?, verdict.Facts["treeSize"] as long?)),
            Outcome.Unusable => new CheckResult(CheckVerdict.Unreadable, name, detail),
            _ => new CheckResult(verdict.Code is "log.signature" or "receipt.pending" or "receipt.unproven" ? CheckVerdict.Unknown : CheckVerdict.Altered, name, detail),
        };
    }

    private static async Task<LedgerModel> ModelAsync(string? before, Sequencer sequencer, CosignedCheckpoint cosigned, Catalog catalog, CancellationToken cancel)
    {
        var size = sequencer.Log.Head.Size;
        var end = long.TryParse(before, NumberStyles.None, CultureInfo.InvariantCulture, out var asked) ? Math.Clamp(asked, 0, size) : size;
        var start = Math.Max(0, end - PageSize);
        var items = new List<EntryItem>();
        if (end > start)
        {
            var entries = await sequencer.Log.ReadEntriesAsync(start, (int)(end - start), cancel).ConfigureAwait(false);
            for (var i = entries.Count - 1; i >= 0; i--)
                items.Add(Item(start + i, entries[i], catalog));
        }
        string Link(long at) => "/ledger?before=" + at.ToString(CultureInfo.InvariantCulture);
        var pager = new PagerModel(
            end < size ? (end + PageSize >= size ? "/ledger" : Link(end + PageSize)) : null, start > 0 ? Link(start) : null,
            items.Count == 0 ? 0 : size - end + 1, size - start, size);
        return new LedgerModel(
            sequencer.Log.Verifier.Name, sequencer.Log.Verifier.ToString(), Latest(sequencer, cosigned, withNote: true), items, pager, CheckMaxBytes: ProofBytesMax);
    }

    /// <summary>What the public may know of an entry (docs/contracts/canonical.md): its kind, its moment, and the dataset of a batch.</summary>
    private static EntryItem Item(long index, ReadOnlyMemory<byte> entry, Catalog catalog)
    {
        var proof = "/ledger/proof/" + index.ToString(CultureInfo.InvariantCulture);
        try
        {
            var reader = new CborReader(entry, CborConformanceMode.Canonical);
            reader.ReadStartArray();
            reader.ReadTextString();
            reader.ReadInt64();
            var kind = reader.ReadTextString();
            var id = reader.ReadByteString();
            // A UUIDv7 begins with its moment: 48 bits of milliseconds.
            var at = id.Length == 16 ? DateTimeOffset.FromUnixTimeMilliseconds(Math.Min(BinaryPrimitives.ReadInt64BigEndian(id) >> 16 & 0xFFFF_FFFF_FFFF, 253_402_300_799_999)) : DateTimeOffset.UnixEpoch;
            var about = kind == "batch" && reader.ReadTextString() is { } dataset
                ? catalog.Find(dataset) is { } known ? PageText.Pick(known.Title, known.Id) : dataset
                : null;
            return new EntryItem(index, PageText.Find("Entry." + kind) ?? kind, about, at, proof);
        }
        catch (Exception e) when (e is CborContentException or InvalidOperationException or OverflowException)
        {
            return new EntryItem(index, PageText.Of("Entry.unknown"), null, DateTimeOffset.UnixEpoch, proof);
        }
    }
}
