"""What `make results` runs: recipes in full, each beside the figure that it is measured against."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Entry:
    """One run of a recipe and the figure it is measured against."""

    row: str
    task: str
    recipe: str
    engine: str
    arguments: str
    figure: str
    reference: str

    @property
    def key(self):
        return f"{self.recipe} {self.engine} {self.arguments}".strip()

    @property
    def command(self):
        backend = "" if self.engine == "numpy" else f"--backend {self.engine}"  # by hand: any engine, or none
        return " ".join(f"kzoo run {self.recipe} {backend} {self.arguments}".split())


FASHION = "--data fashion_mnist --epochs 12 --batch-size 64 --learning-rate 0.002 --dropout 0.25 --flip"
TWO_CONVOLUTIONS = "92.2 to 93.2 % (zalandoresearch/fashion-mnist, two convolutions)"
SMALL_NET = "--model resnet20 --batch-size 128 --learning-rate 0.004 --weight-decay 0.05 --dropout 0 --flip"
DESIGNS = "cnn,resnet20,googlenet,efficientnet_b0,mobilenet_v2,vit_tiny_patch16,capsnet_small"
MLP_ALONE = "--model mlp --shift 0 --no-flip --epochs 40 --batch-size 64"
SAM_ABOVE = "sgd_accuracy,sam_accuracy", "SAM above SGD (Foret et al. 2021)"
ENTRIES = [
    Entry("V1", "digits", "image_classification", "jax", "", "test_accuracy", "98 % (`make demo`)"),
    *[
        Entry("V1", "Fashion-MNIST", "image_classification", name, FASHION, "test_accuracy", TWO_CONVOLUTIONS)
        for name in ("tensorflow", "torch", "jax")
    ],
    Entry(
        *("V1", "CNN designs, 10,000 images", "architecture_comparison", "tensorflow"),
        *("--samples 10000 --epochs 5", "best_accuracy", "costs in RESULTS.md"),
    ),
    *[
        Entry(row, task, f"{name}_by_hand", "numpy", "", figure, reference)
        for row, task, name, figure, reference in (
            ("F1", "XOR", "xor", "network_accuracy", "solved"),
            ("F1", "MNIST", "mlp", "test_accuracy", "98 %"),
            ("F2", "digits", "cnn", "test_accuracy", "98 %"),
            (
                "F9",
                "names, nats",
                "names",
                "bigram_loss,validation_loss",
                "2.454 and 2.105 (karpathy/makemore)",
            ),
            (
                "F5",
                "MNIST, a fifth of the labels wrong",
                "regularizers",
                "best_accuracy",
                "beside none: the picture",
            ),
        )
    ],
    Entry("F5", "MNIST, 3 epochs", "optimizer_race", "numpy", "", "best_accuracy", "the curves"),
    Entry(
        "F8", "50 layers", "gradient_flow", "numpy", "", "vanished_at_50,exploded_at_50", "share of 36 pairs"
    ),
    Entry(
        *("T1", "Fashion-MNIST, 5,000 images, 3 seeds", "sharpness_aware", "tensorflow", ""),
        *SAM_ABOVE,
    ),
    *[
        Entry("T1", task, "sharpness_aware", "jax", f"{MLP_ALONE}{more}", *SAM_ABOVE)
        for task, more in (
            ("the same, no augmentation", ""),
            ("the same, a fifth of the labels wrong", " --wrong-labels 0.2 --rho 0.1"),
        )
    ],
    Entry(
        *("T1, T2", "Fashion-MNIST, 10,000 images", "optimizer_comparison", "jax", ""),
        *("best_accuracy", "each of 22: docs/schedules_compared.png, figures.json"),
    ),
    Entry(
        *("T3", "Fashion-MNIST, 4,000 images, 3 subsets", "overfitting", "jax", ""),
        *("none_accuracy,best_accuracy", "the picture"),
    ),
    Entry(
        *("V2", "Fashion-MNIST", "image_classification", "torch"),
        f"--data fashion_mnist {SMALL_NET} --shift 2 --epochs 20",
        *("test_accuracy", "93.5 % on a CPU; ResNet-18 94.9 % (zalandoresearch/fashion-mnist)"),
    ),
    Entry(
        *("V2", "CIFAR-10, JPEG", "image_classification", "torch"),
        "--data cifar10_jpeg --model resnet20 --batch-size 128 --optimizer sgd --learning-rate 0.1 "
        "--weight-decay 0.005 --dropout 0 --flip --shift 4 --epochs 60",
        *("test_accuracy", "91.25 % on exact pixels (He et al. 2016)"),
    ),
    *[
        Entry("V7", task, "capsules", "torch", arguments, "test_accuracy", reference)
        for task, arguments, reference in (
            ("MNIST", "--data mnist", "target 99.3 %; 99.66 % with 8.2M weights"),
            (
                "Fashion-MNIST",
                "--data fashion_mnist --flip --shift 1 --learning-rate 0.002 --decay 0.94 --kernel-size 5 --epochs 40",
                "93.6 % (zalandoresearch/fashion-mnist)",
            ),
        )
    ],
    Entry(
        *("V1-V7", "Fashion-MNIST, 10,000 images, designs", "architecture_comparison", "torch"),
        f"--models {DESIGNS} --samples 10000 --epochs 5",
        *("best_accuracy", "costs in RESULTS.md"),
    ),
    Entry(
        *("V5", "Fashion-MNIST, convolution or attention", "data_size", "torch", ""),
        "resnet20_500_accuracy,vit_tiny_patch16_500_accuracy,"
        "resnet20_32000_accuracy,vit_tiny_patch16_32000_accuracy",
        "the picture (Dosovitskiy et al. 2021)",
    ),
    *[
        Entry(
            *("T8", task, "transfer_learning", "torch", arguments),
            "scratch_100_accuracy,frozen_100_accuracy,fine_tuned_100_accuracy",
            "fine-tuned above frozen above scratch",
        )
        for task, arguments in (
            ("half of CIFAR-10's classes to the other, 100 images each", ""),
            (
                "CIFAR-10 to blood cells, 100 images each",
                "--data blood_cells --classes= --source-classes=",
            ),
        )
    ],
    Entry(
        *("V13", "Fashion-MNIST", "looking_inside", "torch"),
        "--trained runs/image_classification/fashion_mnist-resnet20-torch",
        *("trained_neighbours_accuracy,untrained_neighbours_accuracy", "the pictures"),
    ),
    Entry(
        *("S1", "names, nats a letter", "names", "jax", ""),
        "bigram_validation_loss,mlp_validation_loss,wavenet_validation_loss,rnn_validation_loss,"
        "gru_validation_loss,lstm_validation_loss,transformer_validation_loss",
        "bigrams 2.454 on all names; held out: MLP 2.105, WaveNet 1.993, Transformer 1.92 (karpathy/makemore)",
    ),
    *[
        Entry(
            *("S2", "Tiny Shakespeare, nats a character", "language_model", name, ""),
            *(
                "validation_loss",
                "target 1.92; 1.88 on 20 random batches (karpathy/nanoGPT)",
            ),
        )
        for name in ("tensorflow", "torch", "jax")
    ],
    *[
        Entry(
            "S1", "names, nats a letter", "names", engine, "--designs mlp,transformer", figure, "those of jax"
        )
        for engine in ("torch", "tensorflow")
        for figure in ("mlp_validation_loss,transformer_validation_loss",)
    ],
    Entry(
        *("S3", "word vectors of 2.1 million words", "word_vectors", "jax", ""),
        "skip_gram_ws353,cbow_ws353,glove_ws353,skip_gram_men,skip_gram_simlex999,skip_gram_analogies,"
        "skip_gram_reviews_accuracy,random_reviews_accuracy",
        "Spearman's correlation, and shares of the analogies; GloVe of 6 billion words: WordSim 0.658, 71.7 %",
    ),
    Entry(
        *("S5", "SST-2, 3 seeds", "fine_tuning", "torch", ""),
        *("validation_accuracy,test_accuracy", "target 87 % from the 6,920 whole sentences"),
    ),
    *[
        Entry("S4", task, "text_classification", "torch", arguments, figure, reference)
        for task, arguments, figure, reference in (
            (
                "SST-2, 6,920 sentences, 3 seeds",
                "--models text_lstm,text_bilstm,text_cnn,text_mean,text_transformer --seeds 3",
                "text_lstm_validation_accuracy,text_bilstm_validation_accuracy,text_lstm_test_accuracy,"
                "text_bilstm_test_accuracy,text_cnn_test_accuracy,text_transformer_test_accuracy",
                "target 78 %; CNN 82.7 % on test, having learnt from phrases too (arXiv:1408.5882)",
            ),
            (
                "rt-polarity, one fold of ten",
                "--data rt_polarity --models text_lstm,text_bilstm,text_cnn",
                "text_lstm_test_accuracy,text_bilstm_test_accuracy,text_cnn_test_accuracy",
                "CNN 76.1 % (arXiv:1408.5882)",
            ),
            (
                "AG News, 6,080 articles",
                "--data ag_news --models text_bilstm,text_cnn",
                "text_bilstm_test_accuracy,text_cnn_test_accuracy",
                "from 120,000 articles: LSTM 86.1 %, n-grams 92.4 % (arXiv:1509.01626)",
            ),
        )
    ],
    Entry(
        *("S6", "Multi30k, English to French, test 2016", "translation", "torch", ""),
        *("test_bleu,test_greedy_bleu", "target 45; a small Transformer 61.8, tokenised (Wu et al. 2021)"),
    ),
    Entry(
        *("S5", "WNUT-17, F1 of entities", "named_entities", "torch", ""),
        *("test_entity_f1,validation_entity_f1", "the best of its task 41.9 % (W17-4418)"),
    ),
    Entry(
        *("S5", "XQuAD in English, 5 folds of articles", "question_answering", "torch", ""),
        *("token_f1,exact_match", "mBERT after SQuAD's 87,599 questions 83.5 and 72.2 % (deepmind/xquad)"),
    ),
    Entry(
        *("S5", "English text sets, masked words, nats", "masked_language_model", "torch", "--epochs 4"),
        *("validation_loss,perplexity", "the words that it fills in"),
    ),
    Entry(
        *("S8", "1,100 instructions, nats of held-out answers", "instruction_tuning", "torch", ""),
        "full_before_loss,full_after_loss,lora_after_loss",
        "before tuning; LoRA beside all weights",
    ),
    Entry(
        *("G1", "MNIST through 32 numbers, squared error", "autoencoders", "torch", ""),
        "pca_error,dense_error,convolutional_error,denoising_error,sparse_error,pca_denoising_error,"
        "denoising_denoising_error",
        "principal components of as many numbers",
    ),
    Entry(
        *("G1", "MNIST, AUROC of a class held out", "anomaly_detection", "torch", ""),
        "autoencoder_mean_auroc,pca_mean_auroc," + ",".join(f"auroc_{digit}" for digit in range(10)),
        "the error of principal components",
    ),
    *[
        Entry(
            *("G2", f"{task}, nats a test image", "vae", "torch", arguments),
            *("test_elbo,test_reconstruction,test_kl", reference),
        )
        for task, arguments, reference in (
            ("MNIST", "", "below 98 of binary images (Kingma and Welling 2014)"),
            ("MNIST, a plane of codes", "--model vae_dense --latent-dim 2", "its map"),
            ("Fashion-MNIST of classes", "--data fashion_mnist --conditional", "the sheet of classes"),
        )
    ],
    Entry(
        *("G2", "MNIST as 49 codes of 128", "vq_vae", "torch", ""),
        *("test_error,codebook_perplexity,codes_used,prior_loss", "the samples of its prior"),
    ),
    *[
        Entry(
            *("G3", f"MNIST, {task}", "gan", "torch", arguments),
            *(figure, reference),
        )
        for task, arguments, figure, reference in (
            (
                "DCGAN",
                "",
                "classes_covered,class_entropy,fid,recall",
                "10 classes; even: 2.303 nats; the distance is in a classifier's features",
            ),
            (
                "of the class asked for",
                "--kind conditional",
                "asked_class_accuracy,classes_covered,classifier_accuracy,fid",
                "target 90 %",
            ),
            (
                "Wasserstein with a gradient penalty",
                "--kind wgan_gp --batch-size 32 --epochs 7",
                "classes_covered,class_entropy,fid,recall",
                "10 classes; even: 2.303 nats; the distance is in a classifier's features",
            ),
            (
                "hinge with spectral norm",
                "--kind hinge",
                "classes_covered,class_entropy,fid,recall",
                "10 classes; even: 2.303 nats; the distance is in a classifier's features",
            ),
        )
    ],
    Entry(
        *("G4", "MNIST, of the class wanted", "diffusion", "torch", ""),
        "agreement,plain_agreement,fid,plain_fid,precision,recall",
        "target 90 % agreement; the distance is in a classifier's features",
    ),
    Entry(
        *("G4", "MNIST, in the codes of a VAE", "latent_diffusion", "torch", ""),
        *("agreement,fid,vae_fid,recall,vae_recall", "the VAE alone"),
    ),
    Entry(
        *("G5", "Fashion-MNIST, 2,000 images", "generative_comparison", "torch", ""),
        "vae_fid,gan_fid,diffusion_fid,real_fid,vae_recall,gan_recall,diffusion_recall,vae_agreement,gan_agreement,"
        "diffusion_agreement",
        "as many training images, beside the same test images",
    ),
    *[
        Entry(
            row,
            f"CartPole-v1{', 3 seeds' if engine == 'jax' else ''}",
            name,
            engine,
            seeds,
            figure,
            reference,
        )
        for row, name, reference in (
            ("R1", "reinforce", "target 450; 500 is the most"),
            ("R2", "dqn", "target 475; cleanrl while training 489 after 500,000 steps"),
            ("R3", "actor_critic", "target 450; 500 is the most"),
            ("R4", "ppo", "target 490; cleanrl while training 489 after 500,000 steps"),
        )
        for engine in ("jax", "tensorflow", "torch")
        for seeds, figure in [("--seeds 3", "return,lowest") if engine == "jax" else ("", "return")]
    ],
    Entry(
        *("R3", "CartPole-v1, 3 seeds, 2 workers", "a3c", "jax", "--seeds 3"),
        *("return,lowest,steps_per_second", "target 450; 500 is the most"),
    ),
    *[
        Entry("R4", task, "ppo", "jax", f"--environment {task}", "return", reference)
        for task, reference in (
            ("InvertedPendulum-v5", "1,000 is the most"),
            ("HalfCheetah-v5", "cleanrl's ppo_continuous_action 1,443 after 1,000,000 steps (v4)"),
            ("Hopper-v5", "cleanrl's ppo_continuous_action 2,382 after 1,000,000 steps (v4)"),
        )
    ],
    Entry(
        *("R2", "Pong, 100,000 steps of four frames", "dqn", "torch"),
        *(
            "--environment ALE/Pong-v5 --steps 100000 --capacity 20000 --episodes 5",
            "return,steps_per_second",
        ),
        "a random policy -20.7, the Nature DQN 18.9 after 50,000,000 steps",
    ),
]

# The README's few: key to how many of its figures.
HIGHLIGHTS = {
    f"image_classification torch --data fashion_mnist {SMALL_NET} --shift 2 --epochs 20": 1,
    "capsules torch --data mnist": 1,
    "transfer_learning torch": 3,
    "language_model jax": 1,
    "fine_tuning torch": 1,
    "translation torch": 1,
    "named_entities torch": 1,
    "gan torch --kind conditional": 1,
    "latent_diffusion torch": 2,
    "anomaly_detection torch": 2,
    "dqn jax --seeds 3": 2,
    "ppo jax --environment HalfCheetah-v5": 1,
}
