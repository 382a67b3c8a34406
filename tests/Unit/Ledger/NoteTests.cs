using System.Text;
using CsCheck;
using Gongzhi.Ledger;
using Xunit;

namespace Gongzhi.Tests.Unit.Ledger;

public sealed class NoteTests
{
    // The example of the signed-note specification.
    private const string ExampleKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    private const string Example = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    private static readonly TreeHead Head = new(20852163, Convert.FromBase64String("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="));

    [Fact]
    public void The_specifications_example_verifies()
    {
        Assert.True(NoteVerifier.TryParse(ExampleKey, out var key));
        Assert.True(SignedNote.TryParse(Encoding.UTF8.GetBytes(Example), out var note));
        Assert.True(note.IsSignedBy(key));
        Assert.Equal("This is an example message.\n", Encoding.UTF8.GetString(note.Text.Span));
        Assert.Equal(Example, Encoding.UTF8.GetString(note.Encode()));
        Assert.Equal(ExampleKey, key.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("text\n")]
    [InlineData("text\n\n")]
    [InlineData("text\n\n— name AAAAAAA=")]
    [InlineData("text\n\n— name AAAA\n")]
    [InlineData("text\n\n- name AAAAAAA=\n")]
    [InlineData("text\n\n— na+me AAAAAAA=\n")]
    [InlineData("text\n\n—  AAAAAAA=\n")]
    [InlineData("text\n\n— name AAAAAAB=\n")]
    [InlineData("text\n\n— name AAAA AAA=\n")]
    [InlineData("te\txt\n\n— name AAAAAAA=\n")]
    [InlineData("text\n\n— name AAAAAAA=\r\n")]
    [InlineData("text\n\n— name AAAAAAA=\nmore\n")]
    public void Malformed_notes_are_refused(string note) => Assert.False(SignedNote.TryParse(Encoding.UTF8.GetBytes(note), out _));

    [Fact]
    public void Any_changed_byte_of_a_signed_checkpoint_is_noticed()
    {
        using var signer = NoteSigner.Generate("example.com/log");
        var text = new Checkpoint("example.com/log", Head.Size, Head.Root).Encode();
        var note = SignedNote.Create(text, signer.Sign(text)).Encode();
        Assert.True(Checkpoint.TryOpen(note, signer.Verifier, out var opened));
        Assert.Equal(Head, new TreeHead(opened.Size, opened.Root));
        Gen.Int[0, note.Length - 1].Select(Gen.Int[0, 7]).Sample((at, bit) =>
        {
            var changed = (byte[])note.Clone();
            changed[at] ^= (byte)(1 << bit);
            Assert.False(Checkpoint.TryOpen(changed, signer.Verifier, out _));
        }, iter: 1000);
    }

    [Fact]
    public void A_bad_signature_beside_a_good_one_of_the_same_key_spoils_the_note_and_a_strangers_does_not()
    {
        using var signer = NoteSigner.Generate("example.com/log");
        using var stranger = NoteSigner.Generate("example.com/log");
        var text = "hello\n"u8;
        var good = signer.Sign(text);
        Assert.True(SignedNote.Create(text, stranger.Sign(text), good).IsSignedBy(signer.Verifier));
        Assert.False(SignedNote.Create(text, good, good with { Signature = new byte[64] }).IsSignedBy(signer.Verifier));
        Assert.False(SignedNote.Create(text, stranger.Sign(text)).IsSignedBy(signer.Verifier));
    }

    [Fact]
    public void Private_keys_read_back()
    {
        using var signer = NoteSigner.Generate("example.com/log");
        Assert.True(NoteSigner.TryParse(signer.ExportPrivateKey(), out var again));
        Assert.Equal(signer.Verifier.ToString(), again.Verifier.ToString());
        Assert.False(NoteSigner.TryParse(signer.ExportPrivateKey().Replace("example", "exbmple", StringComparison.Ordinal), out _));
        Assert.False(NoteVerifier.TryParse(ExampleKey.Replace("530d", "530e", StringComparison.Ordinal), out _));
        Assert.False(NoteVerifier.TryParse(ExampleKey + "A", out _));
        again.Dispose();
    }

    [Fact]
    public void Cosignatures_verify_with_their_time_and_only_over_checkpoints()
    {
        using var witness = NoteSigner.Generate("witness.example/w1", NoteKeyType.CosignatureV1);
        var text = new Checkpoint("example.com/behind-the-sofa", Head.Size, Head.Root).Encode();
        var time = DateTimeOffset.FromUnixTimeSeconds(1679315147);
        var cosignature = witness.Cosign(text, time);
        Assert.True(witness.Verifier.Verify(text, cosignature));
        Assert.True(Cosignature.TryReadTime(cosignature, out var read) && read == time);
        var moved = cosignature.Signature.ToArray();
        moved[7] ^= 1;
        Assert.False(witness.Verifier.Verify(text, cosignature with { Signature = moved }));
        Assert.Throws<ArgumentException>(() => witness.Cosign("hello\n"u8, time));
        Assert.Throws<InvalidOperationException>(() => witness.Sign(text));
        Assert.True(NoteVerifier.TryParse(witness.Verifier.ToString(), out var parsed) && parsed.Type == NoteKeyType.CosignatureV1);
    }

    [Theory]
    [InlineData("o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", true)]
    [InlineData("o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\nextension\n", true)]
    [InlineData("o\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", false)]
    [InlineData("o\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", false)]
    [InlineData("o\n9223372036854775808\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", false)]
    [InlineData("o\n0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", false)]
    [InlineData("\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", false)]
    [InlineData("o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n", false)]
    [InlineData("o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jx\n", false)]
    [InlineData("o\n1\n", false)]
    public void Checkpoint_bodies(string text, bool good) => Assert.Equal(good, Checkpoint.TryParse(Encoding.UTF8.GetBytes(text), out _));

    [Fact]
    public void Tlog_proofs_read_back_and_random_bytes_never_throw()
    {
        using var signer = NoteSigner.Generate("example.com/log");
        var text = new Checkpoint("example.com/log", Head.Size, Head.Root).Encode();
        var proof = new TlogProof(7, [new byte[32], new byte[32]], SignedNote.Create(text, signer.Sign(text)).Encode(), new byte[] { 1, 2 });
        var bytes = proof.Encode();
        Assert.True(TlogProof.TryParse(bytes, out var read));
        Assert.Equal(bytes, read.Encode());
        Gen.Int[0, bytes.Length - 1].Select(Gen.Byte, Gen.Int[0, bytes.Length]).Sample((at, value, cut) =>
        {
            var changed = (byte[])bytes.Clone();
            changed[at] = value;
            Assert.False(TlogProof.TryParse(changed, out var other) && !other.Encode().AsSpan().SequenceEqual(changed));
            Assert.False(TlogProof.TryParse(changed.AsSpan(0, cut), out other) && !other.Encode().AsSpan().SequenceEqual(changed.AsSpan(0, cut)));
            Assert.False(SignedNote.TryParse(changed.AsSpan(cut), out var note) && !note.Encode().AsSpan().SequenceEqual(changed.AsSpan(cut)));
        });
    }
}
