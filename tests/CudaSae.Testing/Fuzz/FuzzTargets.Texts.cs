using System.Text;
using CudaSae.Lab.Insight.Contexts;

namespace CudaSae.Testing.Fuzz;

/// <summary>What gives rows their texts.</summary>
sealed partial class FuzzTargets
{
    static FuzzTarget Vocabulary()
    {
        static void Read(byte[] bytes)
        {
            var pieces = new VocabularyFile(Name, bytes);
            for (var id = 0; id < 10; id++) _ = pieces.Piece(id)?.Length;
        }
        string[] texts =
        [
            """["<unk>","a","\u2581b"]""", """[["<unk>",0],["a",-2],["b",null]]""",
            """{"a":0,"\u0120b":1,"\u00c3\u0149":2}""",
            """{"model":{"type":"BPE","vocab":{"a":0,"\u0120b":1}},"added_tokens":[{"id":2,"content":"<s>"}]}""",
        ];
        return new("vocabulary",
            [.. texts.Select(text => new FuzzCase(Encoding.UTF8.GetBytes(text), JsonStructure.Mutate, Read))],
            Words("[\"x\",-1],", "null", "\"\"", "\"\\ud800\"", "1e999", "-1", "4000000000", "[]", "{}", "\"\xff\"",
                "\"model\":{", ","));
    }

    static FuzzTarget Sentences()
    {
        static void Read(byte[] bytes)
        {
            using var text = new StreamReader(new MemoryStream(bytes));
            SentenceFile.Read(Name, text, 1, 5, static (piece, begins) => GC.KeepAlive(piece));
        }
        string[] texts = ["{\"row\":0,\"text\":\"a "
            + "b\",\"tokens\":[\"\\u2581a\",\"\\u2581b\"]}\n{\"row\":2,\"tokens\":[\"c\",\"d\",\"e\"]}\n",
            "{\"row\":0,\"tokens\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"]}"];
        return new("sentences",
            [.. texts.Select(text => new FuzzCase(Encoding.UTF8.GetBytes(text), JsonStructure.Mutate, Read))],
            Words("null", "\"\\ud800\"", "1e999", "-1", "9223372036854775807", "[]", "{}", "\"\xff\"", "\n",
                "{\"row\":5,\"tokens\":[]}\n", ","));
    }
}
