using System.Net;
using System.Net.Http.Headers;
using System.Text;

namespace Gongzhi.Ledger;

/// <summary>What a witness has said about our log.</summary>
/// <param name="Size">Entries that the witness has cosigned.</param>
/// <param name="Cosignature">Its signature on the checkpoint that was sent; null when it refused.</param>
/// <param name="Reason">Why it refused; null when it cosigned.</param>
public sealed record WitnessWord(long Size, NoteSignature? Cosignature, string? Reason)
{
    /// <summary>The witness has seen more than we have, or another history.</summary>
    public bool Diverged { get; init; }

    /// <summary>How many entries the witness had cosigned before it cosigned this; 0 when it refused, or knew nothing of the log.</summary>
    public long Before { get; init; }
}

/// <summary>Asks one witness (C2SP tlog-witness) to cosign the log's newest checkpoint.</summary>
/// <param name="http">The caller's; it should follow no redirects. Its timeout is that of a whole answer, with its body.</param>
/// <param name="prefix">The witness's submission prefix.</param>
/// <param name="key">Its cosignature key.</param>
public sealed class WitnessClient(HttpClient http, Uri prefix, NoteVerifier key)
{
    private const int AnswerBytesMax = 64 * 1024;

    // A witness that many machines of a log ask at once may have been told something newer between two of our requests.
    private const int TriesMax = 4;

    private readonly Uri _prefix = new(prefix.AbsoluteUri.TrimEnd('/') + "/");
    private long _known;

    /// <summary>The witness's key.</summary>
    public NoteVerifier Key => key;

    /// <summary>Sends a checkpoint that the log has published, with the proof that it continues what the witness has.</summary>
    /// <param name="log">Our log.</param>
    /// <param name="note">A checkpoint of it; the newest one when nothing is given.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="HttpRequestException">The witness cannot be reached, or its answer is not the protocol's.</exception>
    public async Task<WitnessWord> SubmitAsync(TileLog log, ReadOnlyMemory<byte> note = default, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(log);
        for (var attempt = 1; ; attempt++)
        {
            var sent = note.IsEmpty ? log.CurrentCheckpoint : note;
            if (!Checkpoint.TryOpen(sent.Span, log.Verifier, out var checkpoint)) throw new ArgumentException("This is not a checkpoint of the log.", nameof(note));
            var old = Math.Min(Volatile.Read(ref _known), checkpoint.Size);
            var proof = await log.ProveConsistencyAsync(old, checkpoint.Size, cancel).ConfigureAwait(false);
            using var content = new ByteArrayContent(new WitnessRequest(old, proof, sent).Encode());
            content.Headers.ContentType = new MediaTypeHeaderValue("text/plain");
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_prefix, "add-checkpoint")) { Content = content };
            var (response, body) = await AnswerAsync(request, cancel).ConfigureAwait(false);
            using var _ = response;
            switch (response.StatusCode)
            {
                case HttpStatusCode.OK:
                    Volatile.Write(ref _known, checkpoint.Size);
                    return Read(sent, body) is { } cosignature
                        ? new WitnessWord(checkpoint.Size, cosignature, null) { Before = old }
                        : throw new HttpRequestException("The witness answered without a valid cosignature by its key.");
                case HttpStatusCode.Conflict when response.Content.Headers.ContentType?.MediaType == WitnessRequest.SizeMediaType
                    && Checkpoint.TryParseNumber(body.AsSpan().TrimEnd('\n'), out var size):
                    if (size > checkpoint.Size)
                    {
                        // Another machine of ours may have published, and shown it, since we looked.
                        await log.FollowAsync(cancel).ConfigureAwait(false);
                        if (log.Head.Size < size)
                            return new WitnessWord(size, null, $"it has cosigned {size} entries of this log, and {log.Head.Size} are stored here") { Diverged = true };
                        if (!note.IsEmpty) return new WitnessWord(size, null, "it has cosigned a newer one");
                    }
                    else if (size == old && size == checkpoint.Size)
                    {
                        return new WitnessWord(size, null, $"it has cosigned another root over {size} entries") { Diverged = true };
                    }
                    if (attempt == TriesMax) throw new HttpRequestException("The witness named another size each time it was asked.");
                    Volatile.Write(ref _known, size);
                    continue;
                case HttpStatusCode.UnprocessableEntity:
                    return new WitnessWord(old, null, $"what is stored here does not continue the {old} entries that it has cosigned") { Diverged = true };
                case HttpStatusCode.NotFound:
                    return new WitnessWord(0, null, "it does not follow this log");
                case HttpStatusCode.Forbidden:
                    return new WitnessWord(0, null, "it follows this log under another key");
                default:
                    throw new HttpRequestException($"The witness answered {(int)response.StatusCode}.");
            }
        }
    }

    /// <summary>The newest checkpoint of a log that the witness has cosigned, where it serves them as mirrors do (<c>HASH/checkpoint</c>); null where it does not. Verified by nobody yet.</summary>
    /// <exception cref="HttpRequestException">It cannot be reached, or answers too much.</exception>
    public async Task<ReadOnlyMemory<byte>?> NewestAsync(string origin, CancellationToken cancel = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(_prefix, WitnessRequest.Folder(origin) + "/checkpoint"));
        var (response, body) = await AnswerAsync(request, cancel).ConfigureAwait(false);
        using var _ = response;
        return response.StatusCode == HttpStatusCode.OK ? Encoding.UTF8.GetBytes(body) : null;
    }

    /// <summary>The client's own timeout ends with the headers when the body is read as it comes.</summary>
    private async Task<(HttpResponseMessage Response, string Body)> AnswerAsync(HttpRequestMessage request, CancellationToken cancel)
    {
        using var whole = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        whole.CancelAfter(http.Timeout);
        var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, whole.Token).ConfigureAwait(false);
        try
        {
            return (response, await TextAsync(response, whole.Token).ConfigureAwait(false));
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    private NoteSignature? Read(ReadOnlyMemory<byte> note, string body)
    {
        // The lines as they would stand below our checkpoint; those of other keys are nobody's word.
        var text = Encoding.UTF8.GetString(note.Span) + body;
        if (!SignedNote.TryParse(Encoding.UTF8.GetBytes(text), out var cosigned) || !cosigned.IsSignedBy(key)) return null;
        // An answer with an empty line in it would make other text of ours the signed one.
        if (!SignedNote.TryParse(note.Span, out var own) || !cosigned.Text.Span.SequenceEqual(own.Text.Span)) return null;
        return cosigned.Signatures.First(line => line.Name == key.Name && line.KeyId == key.KeyId);
    }

    private static async Task<string> TextAsync(HttpResponseMessage response, CancellationToken cancel)
    {
        var stream = await response.Content.ReadAsStreamAsync(cancel).ConfigureAwait(false);
        await using (stream.ConfigureAwait(false))
        {
            var buffer = new byte[AnswerBytesMax + 1];
            var read = await stream.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancel).ConfigureAwait(false);
            return read > AnswerBytesMax ? throw new HttpRequestException("The witness's answer is too long.") : Encoding.UTF8.GetString(buffer, 0, read);
        }
    }
}
